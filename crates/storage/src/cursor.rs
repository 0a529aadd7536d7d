//! Reading a format field by field: little-endian, `None` where the bytes end too early.

use ailurus_model::Term;

/// What is left of the bytes.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn word(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn number(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    pub(crate) fn term(&mut self) -> Option<Term> {
        self.number().map(Term)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        self.take::<1>().map(|byte| byte[0] != 0)
    }
}
