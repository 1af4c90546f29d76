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
        if pointer.len() > Self::MAX_POINTER {
            let end = pointer.floor_char_boundary(Self::MAX_POINTER);
            pointer.truncate(end);
        }
        crate::card::mask_text(&pointer).unwrap_or(pointer)
    }

    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Path::Index(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
        }
    }
}
