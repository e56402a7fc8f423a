//! PDF files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pdf_oxide::PdfDocument;
use ragtune_core::text::{Locator, Metadata, Value};

use super::by_content::elsewhere;
use super::draft::{Draft, one_line};
use super::guard::guarded;
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::pdf_contents::Contents;
use super::pdf_info::{Bookmark, bookmarks, title};
use super::pdf_nesting::check_nesting;
use super::pdf_pages::{Page, continued, end_of_sentence, join_words, without_repeated};
use super::pdf_streams::content_nests_deeper;
use super::sniff::Kind;
use super::text::{format, has_extension};
use crate::error::{Error, Result};

/// What is said of a page on which its reader panicked.
const BROKE_OFF: &str = "its reader broke off";
/// Reasons that are named of those why pages could not be read.
const MAX_REASONS: usize = 3;

/// Loads PDF files: the text of each page in reading order, words that a line end divides joined. Places have the page,
/// and headings where the file has bookmarks. A page that runs on into the next one gives its sentence to the page where
/// that begins.
///
/// Metadata: `format` is `pdf`, `title`, `pages`, their number, and, only where there are such, `pages_without_text` (pictures
/// of text, as scans have), `unread_pages` (those of which at least a part could not be read) with `unread_because`, and
/// `repeated_lines`, headers and footers that were left out.
///
/// ```
/// use ragtune_retrieve::load::PdfLoader;
/// let loader = PdfLoader::default().with_password("secret").with_repeated_lines(true);
/// # let _ = loader;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PdfLoader {
    passwords: Vec<String>,
    repeated_lines: bool,
    limits: LoadLimits,
}

impl PdfLoader {
    /// With one more password to try on encrypted files.
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.passwords.push(password.into());
        self
    }

    /// With headers and footers that stand on most pages, or without them; without them by default.
    pub fn with_repeated_lines(mut self, keep: bool) -> Self {
        self.repeated_lines = keep;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }

    fn open(&self, bytes: Vec<u8>, budget: &Budget) -> Result<PdfDocument> {
        let document = PdfDocument::from_bytes(bytes).map_err(|error| refused(budget, &error))?;
        let opens = |password: &String| matches!(document.authenticate(password.as_bytes()), Ok(true));
        if document.is_encrypted() && !document.is_authenticated() && !self.passwords.iter().any(opens) {
            return Err(encrypted(budget));
        }
        Ok(document)
    }

    fn read(&self, bytes: Vec<u8>, budget: &Budget) -> Result<Loaded> {
        let document = self.open(bytes, budget)?;
        let count = document.page_count().map_err(|error| refused(budget, &error))?;
        budget.pages(count)?;
        let mut pages = Vec::new();
        let mut unread: Vec<(usize, String)> = Vec::new();
        let mut contents = Contents::default();
        let mut bytes = 0;
        for number in 1..=count {
            budget.look()?;
            let looked = || contents.problem(&document, number - 1, budget);
            let problem = match catch_unwind(AssertUnwindSafe(looked)) {
                Ok(problem) => problem?,
                Err(_) => Some(BROKE_OFF.to_owned()),
            };
            // What a page draws may be put together from many streams.
            let content = catch_unwind(AssertUnwindSafe(|| document.get_page_content_data(number - 1)));
            if let Ok(Ok(content)) = content
                && content_nests_deeper(&content, self.limits.depth)
            {
                return Err(budget.too_deep());
            }
            // A page that its reader stumbles over leaves the others to be read.
            let text = catch_unwind(AssertUnwindSafe(|| document.extract_text(number - 1)));
            match text {
                Ok(Ok(text)) => {
                    bytes += text.len();
                    budget.text(bytes)?;
                    let page = Page::new(number, &text);
                    let is_lost = page.is_blank() && problem.is_some();
                    unread.extend(problem.map(|problem| (number, problem)));
                    if !is_lost {
                        pages.push(page);
                    }
                }
                Ok(Err(pdf_oxide::Error::EncryptedPdf)) => return Err(encrypted(budget)),
                Ok(Err(error)) => unread.push((number, error.to_string())),
                Err(_) => unread.push((number, BROKE_OFF.to_owned())),
            }
        }
        let unread_because = reasons(&unread);
        if pages.is_empty() {
            let why = match unread.is_empty() {
                true => "it has no pages",
                false => unread_because.as_str(),
            };
            return Err(budget.unreadable(format!(
                "none of its {count} pages can be read ({why}): repair the file, or save it anew"
            )));
        }
        let without_text: Vec<_> = pages
            .iter()
            .filter(|page| page.is_blank())
            .map(|page| page.number)
            .collect();
        if without_text.len() == pages.len() && !unread.is_empty() {
            return Err(budget.unreadable(format!(
                "{} of its {count} pages cannot be read ({unread_because}), and the others have no text, as pictures have \
                 none: repair the file, or save it anew",
                unread.len()
            )));
        }
        if without_text.len() == pages.len() {
            return Err(Error::NoText {
                path: budget.path().to_owned(),
                pages: count,
            });
        }
        let mut metadata = format("pdf");
        metadata.insert("pages".to_owned(), (count as i64).into());
        if let Some(title) = title(&document) {
            metadata.insert("title".to_owned(), title.into());
        }
        say(&mut metadata, "pages_without_text", &without_text);
        if !unread.is_empty() {
            let numbers: Vec<usize> = unread.iter().map(|(number, _)| *number).collect();
            say(&mut metadata, "unread_pages", &numbers);
            tracing::warn!(
                path = %budget.path().display(),
                pages = ?numbers,
                because = unread_because,
                "pages of a PDF file could not be read"
            );
            metadata.insert("unread_because".to_owned(), unread_because.into());
        }
        if !self.repeated_lines {
            let left_out = without_repeated(&mut pages);
            if !left_out.is_empty() {
                let left_out = left_out.into_iter().map(Value::from).collect();
                metadata.insert("repeated_lines".to_owned(), Value::List(left_out));
            }
        }
        join_words(&mut pages);
        let mut draft = Draft::new(budget);
        write(&pages, &bookmarks(&document, budget)?, &mut draft)?;
        Ok(draft.finish(metadata))
    }
}

impl std::fmt::Debug for PdfLoader {
    /// Passwords stay hidden.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PdfLoader")
            .field("passwords", &self.passwords.len())
            .field("repeated_lines", &self.repeated_lines)
            .field("limits", &self.limits)
            .finish()
    }
}

impl Loader for PdfLoader {
    fn id(&self) -> String {
        format!("pdf-1 repeated {}", self.repeated_lines)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["pdf"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        if let Some(loaded) = elsewhere(Kind::Pdf, path, bytes, &self.limits) {
            return loaded;
        }
        let outside = Budget::new(path, bytes.len(), &self.limits)?;
        let (loader, path, bytes) = (self.clone(), path.to_owned(), bytes.to_vec());
        guarded(&outside, "PDF", move || {
            let budget = Budget::new(&path, bytes.len(), &loader.limits)?;
            check_nesting(&bytes, &budget)?;
            loader.read(bytes, &budget)
        })
    }
}

/// The different reasons why pages could not be read, the first of them, in one line.
fn reasons(unread: &[(usize, String)]) -> String {
    let mut different: Vec<&str> = Vec::new();
    for (_, reason) in unread {
        if !different.contains(&reason.as_str()) && different.len() <= MAX_REASONS {
            different.push(reason);
        }
    }
    if different.len() > MAX_REASONS {
        different[MAX_REASONS] = "and others";
    }
    one_line(&different.join("; "))
}

fn encrypted(budget: &Budget) -> Error {
    Error::Encrypted {
        path: budget.path().to_owned(),
        remedy: "name its password by PdfLoader::with_password",
    }
}

fn refused(budget: &Budget, error: &pdf_oxide::Error) -> Error {
    match error {
        pdf_oxide::Error::EncryptedPdf => encrypted(budget),
        error => budget.unreadable(format!(
            "its PDF structure is damaged ({error}): repair the file, or save it anew"
        )),
    }
}

fn say(metadata: &mut Metadata, name: &str, pages: &[usize]) {
    if !pages.is_empty() {
        let pages = pages.iter().map(|page| Value::Int(*page as i64)).collect();
        metadata.insert(name.to_owned(), Value::List(pages));
    }
}

/// Writes the pages, with a mark at each, and at each line that is a bookmark's title.
fn write(pages: &[Page], bookmarks: &[Bookmark], draft: &mut Draft) -> Result<()> {
    let mut waiting = bookmarks.iter().peekable();
    let mut headings: Vec<String> = Vec::new();
    for page in pages {
        let place = |headings: &[String]| Locator {
            page: u32::try_from(page.number).ok(),
            headings: headings.to_vec(),
            ..Locator::default()
        };
        let text = page.text();
        let mut rest = text.as_str();
        if continued(draft.text(), rest) {
            let (end, after) = rest.split_at(end_of_sentence(rest));
            draft.line(end)?;
            rest = after.trim_start_matches(' ');
            draft.place(place(&headings));
            if let Some(after) = rest.strip_prefix('\n') {
                rest = after;
            }
        } else {
            draft.place(place(&headings));
        }
        // Lines are written in stretches between bookmarks.
        let mut stretch = String::new();
        for line in rest.split_inclusive('\n') {
            let next = waiting.peek().map(|bookmark| bookmark.title.as_str());
            if next.is_some_and(|title| one_line(line) == title) {
                draft.block(stretch.trim_matches('\n'))?;
                stretch.clear();
                if let Some(bookmark) = waiting.next() {
                    headings.truncate(bookmark.level);
                    headings.push(bookmark.title.clone());
                }
                draft.place(place(&headings));
            }
            stretch.push_str(line);
        }
        draft.block(stretch.trim_matches('\n'))?;
    }
    Ok(())
}
