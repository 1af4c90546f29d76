//! What may stand before a list or an object in a file of JavaScript: the opening of a call, with the checks and guards that
//! services put before it, an assignment, comments, and the prefixes that keep an answer from being run as a script.
//!
//! Guarantee: a text is taken for this only when the whole of it is; anything else is refused as a row.

/// What a text between two rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prologue {
    /// It opens so many calls; none of an assignment.
    Opens(usize),
    /// Nothing but comments, empty statements and known prefixes.
    Nothing,
    /// The beginning of one of these.
    Unfinished,
    /// None of these.
    Other,
}

/// Prefixes that keep an answer from being run as a script.
const GUARDS: [&str; 4] = [")]}',", ")]}'", "while(1);", "for(;;);"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text,
    Sign(&'a str),
}

/// Signs, the longer first.
const SIGNS: [&str; 12] = ["===", "!==", "==", "!=", "&&", "||", "=", "!", "(", ")", ";", ","];

/// What a text is.
pub(super) fn read(text: &str) -> Prologue {
    let mut text = text.trim_start_matches('\u{feff}').trim();
    if let Some(rest) = GUARDS.iter().find_map(|guard| without(text, guard)) {
        text = rest;
    }
    let Some(tokens) = tokens(text) else { return Prologue::Other };
    Statement(&tokens).read()
}

/// The text behind a guard, whatever blanks are within it.
fn without<'a>(text: &'a str, guard: &str) -> Option<&'a str> {
    let mut rest = text;
    for sign in guard.chars() {
        rest = rest.trim_start().strip_prefix(sign)?;
    }
    Some(rest.trim_start())
}

/// The tokens of a text without its comments; none when there is something else.
fn tokens(mut text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else { return Some(tokens) };
        if let Some(rest) = text.strip_prefix("//") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = text.strip_prefix("/*") {
            text = rest.split_once("*/")?.1;
        } else if first == '\'' || first == '"' {
            text = text[1..].split_once(first)?.1;
            tokens.push(Token::Text);
        } else if let Some(sign) = SIGNS.iter().find(|sign| text.starts_with(**sign)) {
            text = &text[sign.len()..];
            tokens.push(Token::Sign(sign));
        } else {
            let end = text.find(|sign: char| !is_of_a_name(sign)).unwrap_or(text.len());
            if end == 0 {
                return None;
            }
            tokens.push(Token::Word(&text[..end]));
            text = &text[end..];
        }
    }
}

fn is_of_a_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '_' | '$' | '.')
}

/// What is left to be read of a statement.
struct Statement<'a, 't>(&'t [Token<'a>]);

impl Statement<'_, '_> {
    fn read(mut self) -> Prologue {
        while self.sign(";") {}
        if self.0.is_empty() {
            return Prologue::Nothing;
        }
        if self.word("if") {
            if !self.sign("(") || !self.check() || !self.sign(")") {
                return self.failed();
            }
        } else {
            while self.0.contains(&Token::Sign("&&")) {
                if !self.check() || !self.sign("&&") {
                    return self.failed();
                }
            }
        }
        self.opening()
    }

    /// `typeof callback === 'function'`, `window.callback`, `!!callback`
    fn check(&mut self) -> bool {
        while self.sign("!") {}
        self.word("typeof");
        if !self.name() {
            return false;
        }
        let compares = ["===", "!==", "==", "!="].iter().any(|sign| self.sign(sign));
        !compares || self.text() || self.name()
    }

    /// `callback(`, `(`, `var orders =`
    fn opening(mut self) -> Prologue {
        let declares = ["var", "let", "const"].iter().any(|word| self.word(word));
        let is_named = self.name();
        if is_named && self.sign("=") && self.0.is_empty() {
            return Prologue::Opens(0);
        }
        let mut calls = 0;
        while !declares && self.sign("(") {
            calls += 1;
        }
        if calls > 0 && self.0.is_empty() { Prologue::Opens(calls) } else { self.failed() }
    }

    /// What a statement is that cannot be read on: more of it may come where nothing is left but what was read.
    const fn failed(&self) -> Prologue {
        if self.0.is_empty() { Prologue::Unfinished } else { Prologue::Other }
    }

    fn next_if(&mut self, is_meant: impl FnOnce(&Token<'_>) -> bool) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if is_meant(first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.next_if(|token| *token == Token::Sign(sign))
    }

    fn word(&mut self, word: &str) -> bool {
        self.next_if(|token| *token == Token::Word(word))
    }

    fn text(&mut self) -> bool {
        self.next_if(|token| *token == Token::Text)
    }

    fn name(&mut self) -> bool {
        self.next_if(
            |token| matches!(token, Token::Word(word) if !word.starts_with(|first: char| first.is_ascii_digit())),
        )
    }
}
