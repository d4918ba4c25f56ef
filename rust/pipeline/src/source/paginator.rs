//! Which page comes next.

use crate::http::Fault;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How the next page is asked for. The names are dlt's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Paginator {
    /// There is one page.
    #[default]
    SinglePage,
    /// Pages are numbered.
    PageNumber(PageNumber),
}

/// Numbered pages: `?page=1`, `?page=2`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageNumber {
    /// The parameter that carries the number; it replaces one of the same name in `url` or `params`. Default `page`.
    pub page_param: String,
    /// The number of the first page. Default 1.
    pub base_page: u64,
    /// The number of the last page to ask for, itself included. Default: until a page is empty.
    pub maximum_page: Option<u64>,
    /// An empty page is the end. Default true; false needs `maximum_page`.
    pub stop_after_empty_page: bool,
}

impl Default for PageNumber {
    fn default() -> Self {
        Self {
            page_param: "page".to_owned(),
            base_page: 1,
            maximum_page: None,
            stop_after_empty_page: true,
        }
    }
}

impl Paginator {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Self::PageNumber(pages) = self else {
            return Ok(());
        };
        let invalid = |name, detail: String| Err(Fault::InvalidSetting { name, detail });
        if pages.page_param.is_empty() {
            return invalid("page_param", "is empty; name the parameter".to_owned());
        }
        match pages.maximum_page {
            Some(last) if last < pages.base_page => invalid(
                "maximum_page",
                format!("{last} lies before base_page {}", pages.base_page),
            ),
            None if !pages.stop_after_empty_page => invalid(
                "maximum_page",
                "is needed when stop_after_empty_page is off, else the pages never end".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// The position in the pages.
#[derive(Debug, Clone)]
pub(super) enum Position {
    /// This page is to be fetched; a single page has no number.
    At(Option<u64>),
    /// All were given.
    End,
}

/// Walks the pages. Pure: told what each page held.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    paginator: Paginator,
    position: Position,
    last_body: Option<u64>,
}

/// What is to be done with a page that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Give,
    End,
}

impl Walk {
    pub(super) fn new(paginator: Paginator) -> Self {
        let position = Position::At(match &paginator {
            Paginator::SinglePage => None,
            Paginator::PageNumber(pages) => Some(pages.base_page),
        });
        Self {
            paginator,
            position,
            last_body: None,
        }
    }

    /// The same pages from the first one on.
    pub(super) fn restarted(&self) -> Self {
        Self::new(self.paginator.clone())
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// The parameter to set for the page at this position.
    pub(super) fn param(&self) -> Option<(&str, u64)> {
        match (&self.paginator, &self.position) {
            (Paginator::PageNumber(pages), Position::At(Some(number))) => {
                Some((&pages.page_param, *number))
            }
            _ => None,
        }
    }

    /// Moves past the page just fetched. `Err`: the same non-empty page came twice, and nothing else ends the walk.
    pub(super) fn advance(&mut self, records: usize, body_hash: u64) -> Result<Step, String> {
        let (Paginator::PageNumber(pages), Position::At(Some(number))) =
            (&self.paginator, &self.position)
        else {
            self.position = Position::End;
            return Ok(if records == 0 { Step::End } else { Step::Give });
        };
        if records == 0 && pages.stop_after_empty_page {
            self.position = Position::End;
            return Ok(Step::End);
        }
        if pages.maximum_page.is_none() && self.last_body.replace(body_hash) == Some(body_hash) {
            return Err(format!(
                "page {number} is the same as the page before it; does the server know the parameter {:?}? \
                 Set maximum_page if this is right",
                pages.page_param
            ));
        }
        let next = number.checked_add(1);
        self.position =
            match next.filter(|next| pages.maximum_page.is_none_or(|last| *next <= last)) {
                Some(next) => Position::At(Some(next)),
                None => Position::End,
            };
        Ok(Step::Give)
    }
}

/// Tells one body from another; never stored.
pub(super) fn body_hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(pages: PageNumber, sizes: &[usize]) -> Vec<u64> {
        let mut walk = Walk::new(Paginator::PageNumber(pages));
        let mut asked = Vec::new();
        for (hash, size) in sizes.iter().enumerate() {
            let Some((_, number)) = walk.param() else {
                break;
            };
            asked.push(number);
            walk.advance(*size, hash as u64).unwrap();
        }
        asked
    }

    #[test]
    fn the_last_page_is_included() {
        let pages = PageNumber {
            maximum_page: Some(3),
            ..PageNumber::default()
        };
        assert_eq!(numbers(pages, &[5, 5, 5, 5, 5]), [1, 2, 3]);
        let one = PageNumber {
            base_page: 0,
            maximum_page: Some(0),
            ..PageNumber::default()
        };
        assert_eq!(numbers(one, &[5, 5]), [0]);
    }

    #[test]
    fn an_empty_page_ends_unless_told_otherwise() {
        assert_eq!(numbers(PageNumber::default(), &[5, 5, 0, 5]), [1, 2, 3]);
        let on = PageNumber {
            maximum_page: Some(4),
            stop_after_empty_page: false,
            ..PageNumber::default()
        };
        assert_eq!(numbers(on, &[5, 0, 0, 5, 5]), [1, 2, 3, 4]);
    }

    #[test]
    fn a_page_that_repeats_itself_is_an_error_where_nothing_else_ends_the_pages() {
        let mut walk = Walk::new(Paginator::PageNumber(PageNumber::default()));
        assert_eq!(walk.advance(5, 7), Ok(Step::Give));
        let error = walk.advance(5, 7).unwrap_err();
        assert!(error.contains("page 2 is the same"), "{error}");
        let bounded = PageNumber {
            maximum_page: Some(9),
            ..PageNumber::default()
        };
        let mut walk = Walk::new(Paginator::PageNumber(bounded));
        assert_eq!(walk.advance(5, 7), Ok(Step::Give));
        assert_eq!(walk.advance(5, 7), Ok(Step::Give));
    }

    #[test]
    fn the_largest_number_ends_the_walk() {
        let pages = PageNumber {
            base_page: u64::MAX,
            ..PageNumber::default()
        };
        assert_eq!(numbers(pages, &[5, 5]), [u64::MAX]);
    }

    #[test]
    fn settings_that_contradict_each_other() {
        let named = |pages| match Paginator::PageNumber(pages).check().unwrap_err() {
            Fault::InvalidSetting { name, .. } => name,
            other => panic!("{other}"),
        };
        let base = PageNumber::default;
        assert_eq!(
            named(PageNumber {
                page_param: String::new(),
                ..base()
            }),
            "page_param"
        );
        assert_eq!(
            named(PageNumber {
                maximum_page: Some(0),
                ..base()
            }),
            "maximum_page"
        );
        assert_eq!(
            named(PageNumber {
                stop_after_empty_page: false,
                ..base()
            }),
            "maximum_page"
        );
        assert!(Paginator::SinglePage.check().is_ok());
    }
}
