//! Validation errors and warnings of one document.

use crate::fault::Fault;
use crate::json::Path;
use crate::limits;
use crate::order::MAX_FAULTS;
use crate::warning::{Warning, WarningCode};

/// What is done with optional fields that are not in their documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// Clear forms are read; what cannot be read counts as absent, with a warning.
    #[default]
    Lenient,
    /// Clear forms are read; what cannot be read is refused: a change that lost a field would say something else.
    Complete,
    /// Only the documented form is read; everything else is refused.
    Strict,
}

/// The errors and warnings found so far; at most [`MAX_FAULTS`] and [`limits::ORDER_WARNINGS`] of them, one of each field.
#[derive(Debug, Default)]
pub struct Findings {
    handling: Handling,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl Findings {
    /// None yet.
    pub const fn new(handling: Handling) -> Self {
        Self { handling, faults: Vec::new(), warnings: Vec::new() }
    }

    /// Whether the document is refused.
    pub const fn is_refused(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The errors and the warnings.
    pub fn into_parts(self) -> (Vec<Fault>, Vec<Warning>) {
        (self.faults, self.warnings)
    }

    /// Whether only documented forms are read.
    pub fn is_strict(&self) -> bool {
        self.handling == Handling::Strict
    }

    /// Reads a field, which is refused when it is required and cannot be read.
    pub fn requiring<T>(&mut self, is_required: bool, read: impl FnOnce(&mut Self) -> T) -> T {
        let kept = self.handling;
        if is_required && kept == Handling::Lenient {
            self.handling = Handling::Complete;
        }
        let value = read(self);
        self.handling = kept;
        value
    }

    /// How many errors and warnings there are.
    pub const fn count(&self) -> usize {
        self.faults.len() + self.warnings.len()
    }

    /// A required field is missing or unusable: the document is refused.
    pub fn refuse(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            let fault = Fault::new(path.pointer(), message);
            // A section that is read in several steps finds its errors in each: the first one of a field counts.
            if !self.faults.iter().any(|known| known.pointer == fault.pointer) {
                self.faults.push(fault);
            }
        }
    }

    /// An optional field cannot be read: it counts as absent.
    pub fn unreadable(&mut self, path: &Path<'_>, code: WarningCode, expected: impl Into<String>) {
        match self.handling {
            Handling::Lenient => self.warn(path, code, expected),
            Handling::Complete | Handling::Strict => self.refuse(path, expected),
        }
    }

    /// A field was read in another form than the documented one.
    pub fn tolerated(&mut self, path: &Path<'_>, expected: &str) {
        if self.handling == Handling::Strict {
            self.refuse(path, expected);
        }
    }

    /// A field has its documented form, and yet its value is of no use.
    pub fn warn(&mut self, path: &Path<'_>, code: WarningCode, message: impl Into<String>) {
        if self.warnings.len() < limits::ORDER_WARNINGS {
            let warning = Warning { code, field: path.pointer(), message: message.into() };
            if !self.warnings.iter().any(|known| known.field == warning.field) {
                self.warnings.push(warning);
            }
        }
    }
}
