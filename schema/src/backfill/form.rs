//! The form of a file: what was said of it, and what was recognised.

use super::Format;
use crate::tenant::wire_enum;

wire_enum! {
    /// How the text of a file is written in bytes.
    Encoding {
        /// UTF-8.
        Utf8 = "utf-8",
        /// UTF-16, the low byte first: "Unicode text" of spreadsheets.
        Utf16Le = "utf-16le",
        /// UTF-16, the high byte first.
        Utf16Be = "utf-16be",
        /// What spreadsheets write on Windows in Western Europe and America; ISO 8859-1 is read as this.
        Windows1252 = "windows-1252",
    }
}

wire_enum! {
    /// What stands between the values of a CSV record.
    Separator {
        /// `,`
        Comma = "comma",
        /// `;`
        Semicolon = "semicolon",
        /// A tab.
        Tab = "tab",
        /// `|`
        Pipe = "pipe",
    }
}

wire_enum! {
    /// What stands before the decimals of a number.
    DecimalMark {
        /// `1234.56` or `1,234.56`
        Point = "point",
        /// `1234,56` or `1.234,56`
        Comma = "comma",
    }
}

impl Separator {
    /// The byte that it is.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// By its name or as the sign itself; a tab also as `\t`.
    ///
    /// # Errors
    /// What was expected.
    pub fn named(text: &str) -> Result<Self, String> {
        match text {
            "\\t" => Ok(Self::Tab),
            sign => match Self::ALL.iter().find(|known| sign.as_bytes() == [known.byte()]) {
                Some(known) => Ok(*known),
                None => text.to_ascii_lowercase().parse(),
            },
        }
    }
}

impl DecimalMark {
    /// By its name or as the sign itself.
    ///
    /// # Errors
    /// What was expected.
    pub fn named(text: &str) -> Result<Self, String> {
        match text {
            "." => Ok(Self::Point),
            "," => Ok(Self::Comma),
            name => name.to_ascii_lowercase().parse(),
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }
}

impl Encoding {
    /// By its name, or by another name of the same.
    ///
    /// # Errors
    /// What was expected.
    pub fn named(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "utf8" => Ok(Self::Utf8),
            "cp1252" | "latin1" | "iso-8859-1" => Ok(Self::Windows1252),
            name => name.parse(),
        }
    }
}

/// The form of a file. Said of it: what was not said is none. Recognised: format and encoding are there, the separator is
/// there of CSV, and the decimal mark where the numbers of the file have one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// How rows lie in it.
    pub format: Option<Format>,
    /// How its text is written.
    pub encoding: Option<Encoding>,
    /// What stands between values.
    pub separator: Option<Separator>,
    /// What stands before decimals.
    pub decimal: Option<DecimalMark>,
}

impl Form {
    /// Whether something is said here that is otherwise there.
    pub fn contradicts(&self, other: &Self) -> bool {
        fn differs<T: PartialEq + Copy>(said: Option<T>, other: Option<T>) -> bool {
            said.is_some() && said != other
        }
        differs(self.format, other.format)
            || differs(self.encoding, other.encoding)
            || differs(self.separator, other.separator)
            || differs(self.decimal, other.decimal)
    }
}

/// Why the form of a file is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Some of its text is UTF-8, and about as much is not.
    #[error(
        "the encoding is ambiguous: some of the text is UTF-8 and some is not; expected one of utf-8 and windows-1252 \
         in --encoding (`encoding` of an upload)"
    )]
    Encoding,
    /// The header can be divided in several ways.
    #[error(
        "the separator is ambiguous: the header can be divided at {0} and at {1}; expected one of them in --separator \
         (`separator` of an upload)"
    )]
    Separator(Separator, Separator),
}
