//! Server-sent events, as they come.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type; empty where the server names none.
    pub event: String,
    /// Its data, the lines joined by line feeds. The bytes are the server's: nothing says that they are UTF-8.
    pub data: Vec<u8>,
}

/// An event is longer than the parser allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {limit_bytes} bytes")]
pub struct SseTooLong {
    /// The limit, in bytes.
    pub limit_bytes: usize,
}

/// Reads an event stream (WHATWG HTML, 9.2.6, "Interpreting an event stream") from pieces that end anywhere.
///
/// An event counts when its empty line has come; what stands behind the last empty line is no event.
///
/// ```
/// use ragtune_core::openai::SseParser;
/// let mut parser = SseParser::new(1_000);
/// let mut events = Vec::new();
/// parser.push(b": a comment\r\ndata: one\r\nda", &mut events)?;
/// parser.push(b"ta: two\r\n\r\ndata: thr", &mut events)?;
/// assert_eq!(events.len(), 1);
/// assert_eq!(events[0].data, b"one\ntwo");
/// # Ok::<(), ragtune_core::openai::SseTooLong>(())
/// ```
#[derive(Clone, Debug)]
pub struct SseParser {
    limit_bytes: usize,
    /// The line so far, without its end.
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    /// The last byte was a carriage return, so that a line feed belongs to it.
    after_return: bool,
    first_line: bool,
}

impl SseParser {
    /// A parser for events of at most so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            line: Vec::new(),
            event: SseEvent::default(),
            has_data: false,
            after_return: false,
            first_line: true,
        }
    }

    /// Takes the next bytes in, and adds the events that they complete.
    ///
    /// # Errors
    /// [`SseTooLong`] when a line or an event passes the limit; what follows has no meaning then.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseTooLong> {
        while let Some((&first, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.event.data.len() + piece.len() > self.limit_bytes {
                return Err(SseTooLong {
                    limit_bytes: self.limit_bytes,
                });
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, events);
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) {
        let line = match std::mem::take(&mut self.first_line) {
            true => line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.event.data.push(b'\n');
                }
                self.has_data = true;
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.event = String::from_utf8_lossy(value).into_owned(),
            // `id` and `retry` are for browsers that reconnect; a line that begins with a colon is a comment.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::new(1 << 20);
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut events).unwrap();
        }
        events
    }

    fn data(event: &str, data: &str) -> SseEvent {
        SseEvent {
            event: event.to_owned(),
            data: data.as_bytes().to_vec(),
        }
    }

    #[test]
    fn every_line_end_and_field_is_read() {
        let stream = b"\xEF\xBB\xBFdata: a\n\n:comment\n\ndata:b\r\rdata: c\r\n\r\nid: 7\nretry: 3\nevent: error\ndata:  d\ndata\n\nnothing";
        let events = [data("", "a"), data("", "b"), data("", "c"), data("error", " d\n")];
        assert_eq!(parse(&[stream]), events);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(parse(&bytes), events);
    }

    #[test]
    fn an_event_without_its_empty_line_does_not_count() {
        assert_eq!(parse(&[b"data: a\n"]), []);
        assert_eq!(parse(&[b"data: a\n\r"]), [data("", "a")]);
        assert_eq!(parse(&[b"event: x\n\ndata: a\n\n"]), [data("", "a")]);
    }

    #[test]
    fn what_never_ends_is_an_error() {
        let mut events = Vec::new();
        let mut parser = SseParser::new(100);
        let error = (0..100).find_map(|_| parser.push(b"data: abc", &mut events).err());
        assert_eq!(error, Some(SseTooLong { limit_bytes: 100 }));
        let mut parser = SseParser::new(100);
        let error = (0..100).find_map(|_| parser.push(b"data: abc\n", &mut events).err());
        assert_eq!(error, Some(SseTooLong { limit_bytes: 100 }));
        assert_eq!(events, []);
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_the_events(stream in "[a:d \\n\\r]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let stream = stream.replace('d', "data: ");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(parse(&pieces), parse(&[stream.as_bytes()]));
        }
    }
}
