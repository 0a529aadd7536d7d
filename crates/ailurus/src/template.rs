//! The little language of `-f`, kcat's: `%t %p %o %k %s %h %T`, as output of `consume` and as input of `produce`.
//!
//! ```text
//! %t topic   %p partition   %o offset   %T timestamp (ms)      %% a per cent sign
//! %k key     %s (or %v) value           %h headers as name=value,name=value
//! %K length of the key      %S (or %V) length of the value, -1 for null      %R that as four bytes, big endian
//! \n \t \r \\ \0 \xHH
//! ```
//! As input only the parts that a writer chooses make sense, each ends where the text behind it begins, and the last
//! text ends the record: `%k:%s\n`.

use std::io::{self, BufRead};

use bytes::Bytes;

use crate::message::{Draft, Header, Message};

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Part(Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    ValueLengthBinary,
    Headers,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => escape(&mut chars, &mut literal)?,
                '%' => match chars.next() {
                    Some('%') => literal.push(b'%'),
                    Some(letter) => {
                        let part = part(letter).ok_or_else(|| unknown_part(letter))?;
                        flush(&mut literal, &mut pieces);
                        pieces.push(Piece::Part(part));
                    }
                    None => return Err("the format ends in a lone %; write %% for a per cent sign".to_owned()),
                },
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        flush(&mut literal, &mut pieces);
        Ok(Template(pieces))
    }

    /// Appends what the template makes of a record. What is null is empty, as with kcat; or `null`, if given.
    pub(crate) fn render(&self, message: &Message, null: &str, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Part(part) => part.render(message, null, out),
            }
        }
    }
}

fn flush(literal: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal)));
    }
}

fn part(letter: char) -> Option<Part> {
    Some(match letter {
        't' => Part::Topic,
        'p' => Part::Partition,
        'o' => Part::Offset,
        'T' | 'd' => Part::Timestamp,
        'k' => Part::Key,
        'K' => Part::KeyLength,
        's' | 'v' => Part::Value,
        'S' | 'V' => Part::ValueLength,
        'R' => Part::ValueLengthBinary,
        'h' => Part::Headers,
        _ => return None,
    })
}

fn unknown_part(letter: char) -> String {
    format!(
        "%{letter} is unknown; there are %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers"
    )
}

fn escape(chars: &mut std::str::Chars<'_>, literal: &mut Vec<u8>) -> Result<(), String> {
    literal.push(match chars.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no byte; write \\x1f"))?
        }
        Some(other) => return Err(format!("\\{other} is unknown; there are \\n \\t \\r \\0 \\\\ \\xHH")),
        None => return Err("the format ends in a lone backslash".to_owned()),
    });
    Ok(())
}

impl Part {
    fn render(self, message: &Message, null: &str, out: &mut Vec<u8>) {
        match self {
            Part::Topic => out.extend_from_slice(message.topic.as_bytes()),
            Part::Partition => out.extend_from_slice(message.partition.to_string().as_bytes()),
            Part::Offset => out.extend_from_slice(message.offset.to_string().as_bytes()),
            Part::Timestamp => out.extend_from_slice(message.timestamp.to_string().as_bytes()),
            Part::Key => out.extend_from_slice(message.key.as_deref().unwrap_or(null.as_bytes())),
            Part::Value => out.extend_from_slice(message.value.as_deref().unwrap_or(null.as_bytes())),
            Part::KeyLength => out.extend_from_slice(length(message.key.as_ref()).to_string().as_bytes()),
            Part::ValueLength => out.extend_from_slice(length(message.value.as_ref()).to_string().as_bytes()),
            Part::ValueLengthBinary => out.extend_from_slice(&length(message.value.as_ref()).to_be_bytes()),
            Part::Headers => render_headers(&message.headers, out),
        }
    }
}

fn length(bytes: Option<&Bytes>) -> i32 {
    bytes.map_or(-1, |bytes| bytes.len() as i32)
}

fn render_headers(headers: &[Header], out: &mut Vec<u8>) {
    for (place, (name, value)) in headers.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
    }
}

/// A template that reads. Invariant: parts and texts alternate, beginning with a part or a text, ending with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputTemplate(Vec<Piece>);

impl InputTemplate {
    pub(crate) fn parse(text: &str) -> Result<InputTemplate, String> {
        let Template(pieces) = Template::parse(text)?;
        for pair in pieces.windows(2) {
            if let [Piece::Part(_), Piece::Part(_)] = pair {
                return Err("two parts need text between them, as in %k:%s\\n".to_owned());
            }
        }
        for piece in &pieces {
            let Piece::Part(part) = piece else { continue };
            if matches!(part, Part::Offset | Part::KeyLength | Part::ValueLength | Part::ValueLengthBinary) {
                return Err("offsets and lengths cannot be read; there are %k %s %h %p %T %t".to_owned());
            }
        }
        match pieces.last() {
            Some(Piece::Text(_)) if pieces.len() > 1 => Ok(InputTemplate(pieces)),
            _ => Err("an input format names a part and ends with the text that ends a record, as in %s\\n".to_owned()),
        }
    }

    /// The next record, or `None` at the end of the input. The text that ends the last record may be missing.
    /// Errors name what was expected; the input is then out of step and must not be read on.
    pub(crate) fn read(&self, input: &mut dyn BufRead) -> Result<Option<Draft>, ReadError> {
        if input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut draft = Draft::default();
        let mut pieces = self.0.iter().peekable();
        while let Some(piece) = pieces.next() {
            match (piece, pieces.peek()) {
                (Piece::Part(part), Some(Piece::Text(end))) => {
                    let bytes = read_until(input, end, pieces.len() == 1)?;
                    set_part(*part, bytes, &mut draft)?;
                    pieces.next();
                }
                (Piece::Text(start), _) => expect_text(input, start)?,
                (Piece::Part(_), _) => unreachable!("checked when parsed: a text follows each part"),
            }
        }
        Ok(Some(draft))
    }
}

/// Why a record could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Input(io::Error),
    Malformed(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Input(error)
    }
}

fn malformed(sentence: String) -> ReadError {
    ReadError::Malformed(sentence)
}

fn read_until(input: &mut dyn BufRead, end: &[u8], last: bool) -> Result<Vec<u8>, ReadError> {
    let final_byte = *end.last().expect("texts are not empty");
    let mut bytes = Vec::new();
    loop {
        if input.read_until(final_byte, &mut bytes)? == 0 {
            if last {
                return Ok(bytes);
            }
            return Err(malformed(format!("the input ended before {:?}", String::from_utf8_lossy(end))));
        }
        if bytes.ends_with(end) {
            bytes.truncate(bytes.len() - end.len());
            return Ok(bytes);
        }
    }
}

fn expect_text(input: &mut dyn BufRead, text: &[u8]) -> Result<(), ReadError> {
    let mut found = vec![0; text.len()];
    io::Read::read_exact(input, &mut found)?;
    if found == text {
        return Ok(());
    }
    let [found, text] = [&found, text].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Err(malformed(format!("expected {text:?} but found {found:?}")))
}

fn set_part(part: Part, bytes: Vec<u8>, draft: &mut Draft) -> Result<(), ReadError> {
    match part {
        Part::Key => draft.key = Some(bytes.into()),
        Part::Value => draft.value = Some(bytes.into()),
        Part::Headers => draft.headers = read_headers(&bytes)?,
        Part::Topic => draft.topic = Some(String::from_utf8_lossy(&bytes).into_owned()),
        Part::Partition => draft.partition = Some(read_number(&bytes, "a partition")?),
        Part::Timestamp => draft.timestamp = Some(read_number(&bytes, "a timestamp")?),
        Part::Offset | Part::KeyLength | Part::ValueLength | Part::ValueLengthBinary => {
            unreachable!("refused when parsed")
        }
    }
    Ok(())
}

fn read_number<N: std::str::FromStr>(bytes: &[u8], what: &str) -> Result<N, ReadError> {
    let text = String::from_utf8_lossy(bytes);
    text.trim().parse().map_err(|_| malformed(format!("{text:?} is not {what}")))
}

fn read_headers(bytes: &[u8]) -> Result<Vec<Header>, ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("headers are not UTF-8".to_owned()))?;
    text.split(',').filter(|pair| !pair.is_empty()).map(|pair| parse_header(pair).map_err(malformed)).collect()
}

/// `name=value`.
pub(crate) fn parse_header(pair: &str) -> Result<Header, String> {
    let (name, value) = pair.split_once('=').ok_or_else(|| format!("the header \"{pair}\" is not name=value"))?;
    Ok((name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            topic: "orders".into(),
            partition: 2,
            offset: 41,
            timestamp: 1_700_000_000_000,
            key: Some("k1".into()),
            value: Some("hello".into()),
            headers: vec![("a".into(), Some("1".into())), ("b".into(), None)],
        }
    }

    fn render(format: &str, message: &Message) -> String {
        let mut out = Vec::new();
        Template::parse(format).unwrap().render(message, "", &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn kcat_formats() {
        let cases = [
            ("%s\\n", "hello\n"),
            ("%t [%p] at offset %o: key %k: %s\\n", "orders [2] at offset 41: key k1: hello\n"),
            ("%T %K %S %h", "1700000000000 2 5 a=1,b=NULL"),
            ("%v%%\\t\\x41\\\\", "hello%\tA\\"),
            ("%R%s", "\0\0\0\u{5}hello"),
            ("", ""),
        ];
        for (format, expected) in cases {
            assert_eq!(render(format, &message()), expected, "{format}");
        }
    }

    #[test]
    fn null_is_empty_and_its_length_is_minus_one() {
        let message = Message { key: None, value: None, ..message() };
        assert_eq!(render("[%k|%s|%K|%S]", &message), "[||-1|-1]");
        let mut out = Vec::new();
        Template::parse("%k").unwrap().render(&message, "NULL", &mut out);
        assert_eq!(out, b"NULL");
    }

    #[test]
    fn bad_formats_are_explained() {
        for (format, part) in
            [("%q", "%q is unknown"), ("50%", "lone %"), ("\\q", "\\q"), ("\\xzz", "\\xzz"), ("\\", "lone")]
        {
            let error = Template::parse(format).unwrap_err();
            assert!(error.contains(part), "{format}: {error}");
        }
    }

    fn read_all(format: &str, mut input: &[u8]) -> Result<Vec<Draft>, String> {
        let template = InputTemplate::parse(format)?;
        let mut drafts = Vec::new();
        loop {
            match template.read(&mut input) {
                Ok(Some(draft)) => drafts.push(draft),
                Ok(None) => return Ok(drafts),
                Err(ReadError::Malformed(why)) => return Err(why),
                Err(ReadError::Input(error)) => return Err(error.to_string()),
            }
        }
    }

    fn draft(key: Option<&'static str>, value: &'static str) -> Draft {
        Draft { key: key.map(Bytes::from), value: Some(value.into()), ..Draft::default() }
    }

    #[test]
    fn input_by_lines_and_keys() {
        assert_eq!(read_all("%s\\n", b"a\n\nb"), Ok(vec![draft(None, "a"), draft(None, ""), draft(None, "b")]));
        assert_eq!(read_all("%k:%s\\n", b"k:v:w\nl:\n"), Ok(vec![draft(Some("k"), "v:w"), draft(Some("l"), "")]));
        assert_eq!(read_all("%s--\\n", b"a-\n--\nb--\n"), Ok(vec![draft(None, "a-\n"), draft(None, "b")]));
        let all = read_all("<%p %T %h %k=%s>", b"<3 99 a=1,b=2 k=v>").unwrap();
        assert_eq!((all[0].partition, all[0].timestamp, all[0].headers.len()), (Some(3), Some(99), 2));
    }

    #[test]
    fn input_that_does_not_fit_is_explained() {
        assert!(read_all("%k:%s\\n", b"no delimiter\n").unwrap_err().contains("ended before"));
        assert!(read_all("%p %s\\n", b"x y\n").unwrap_err().contains("not a partition"));
        assert!(read_all("<%s>", b"[a]").unwrap_err().contains("expected"));
        for bad in ["%k%s\\n", "%s", "\\n", "%o\\n", ""] {
            assert!(InputTemplate::parse(bad).is_err(), "{bad}");
        }
    }
}
