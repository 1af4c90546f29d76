//! Places in a document, as RFC 6901 JSON pointers.

/// A place in a document, built while walking it and rendered only when something is to be said about it.
#[derive(Debug, Clone, Copy)]
pub enum Path<'p> {
    /// The document itself.
    Root,
    /// A member of an object.
    Key(&'p Path<'p>, &'p str),
    /// An element of an array.
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// Longest pointer that is rendered, in bytes; what is beyond is cut.
    const MAX_POINTER: usize = 512;
    /// Bytes at which no further step is written: enough that a card number which the cut would part is masked before.
    const MAX_WRITTEN: usize = Self::MAX_POINTER + 128;

    /// The place of member `key` of this object.
    pub const fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    /// The place of element `index` of this array.
    pub const fn index(&'p self, index: usize) -> Path<'p> {
        Path::Index(self, index)
    }

    /// The RFC 6901 JSON pointer, cut when very long, with card numbers in keys masked.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        self.write(&mut pointer);
        let mut pointer = crate::card::mask_text(&pointer).unwrap_or(pointer);
        pointer.truncate(pointer.floor_char_boundary(Self::MAX_POINTER));
        pointer
    }

    /// Writes little more than is rendered: keys are as long as their sender likes.
    fn write(&self, out: &mut String) {
        let parent = match self {
            Path::Root => return,
            Path::Key(parent, _) | Path::Index(parent, _) => parent,
        };
        parent.write(out);
        if out.len() >= Self::MAX_WRITTEN {
            return;
        }
        out.push('/');
        match self {
            Path::Root => {}
            Path::Index(_, index) => out.push_str(&index.to_string()),
            Path::Key(_, key) => {
                for sign in key.chars().take(Self::MAX_WRITTEN) {
                    match sign {
                        '~' => out.push_str("~0"),
                        '/' => out.push_str("~1"),
                        other => out.push(other),
                    }
                }
            }
        }
    }
}
