//! A record as the command line handles it, and its JSON form, the same for `consume -f json` and `produce -f json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A header of a record: Kafka allows a value to be absent.
pub(crate) type Header = (String, Option<Bytes>);

/// A record that was read, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970; -1 if the record has none.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
}

/// A record to be written. What is `None` is left to flags or defaults, except key and value, where it means null.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Draft {
    pub(crate) topic: Option<String>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
}

/// One line of JSON. Bytes that are not UTF-8 appear as `key_base64`, `value_base64`.
pub(crate) fn to_json(message: &Message) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), message.topic.clone().into());
    object.insert("partition".into(), message.partition.into());
    object.insert("offset".into(), message.offset.into());
    object.insert("timestamp".into(), message.timestamp.into());
    put_bytes(&mut object, "key", message.key.as_ref());
    put_bytes(&mut object, "value", message.value.as_ref());
    let headers = message.headers.iter().map(|(name, value)| {
        let mut header = Map::new();
        header.insert("name".into(), name.clone().into());
        put_bytes(&mut header, "value", value.as_ref());
        Value::Object(header)
    });
    object.insert("headers".into(), headers.collect());
    Value::Object(object)
}

fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&Bytes>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| BASE64.encode(bytes))) {
        None => object.insert(name.into(), Value::Null),
        Some(Ok(text)) => object.insert(name.into(), text.into()),
        Some(Err(encoded)) => object.insert(format!("{name}_base64"), encoded.into()),
    };
}

/// The reverse of [`to_json`]: `offset` is read over, everything may be absent; a value that is neither text nor null
/// is taken as its JSON text, so that `{"value": {"a": 1}}` does what it looks like.
pub(crate) fn from_json(line: &str) -> Result<Draft, String> {
    let object: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let mut headers = Vec::new();
    for header in object.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let header = header.as_object().ok_or("a header is an object with name and value")?;
        let name =
            header.get("name").or_else(|| header.get("key")).and_then(Value::as_str).ok_or("a header has a name")?;
        headers.push((name.to_owned(), take_bytes(header, "value")?));
    }
    Ok(Draft {
        topic: object.get("topic").and_then(Value::as_str).map(str::to_owned),
        partition: take_number(&object, "partition")?,
        timestamp: take_number(&object, "timestamp")?,
        key: take_bytes(&object, "key")?,
        value: take_bytes(&object, "value")?,
        headers,
    })
}

fn take_number<N: TryFrom<i64>>(object: &Map<String, Value>, name: &str) -> Result<Option<N>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_i64().and_then(|number| N::try_from(number).ok());
            number.map(Some).ok_or_else(|| format!("{name} is not a number that fits: {value}"))
        }
    }
}

fn take_bytes(object: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    if let Some(encoded) = object.get(&format!("{name}_base64")) {
        let text = encoded.as_str().ok_or_else(|| format!("{name}_base64 is not a string"))?;
        let bytes = BASE64.decode(text).map_err(|error| format!("{name}_base64: {error}"))?;
        return Ok(Some(bytes.into()));
    }
    Ok(match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone().into()),
        Some(other) => Some(other.to_string().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_there_and_back() {
        let message = Message {
            topic: "t".into(),
            partition: 3,
            offset: 9,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from_static(b"\xff\x00")),
            headers: vec![("a".into(), Some("1".into())), ("b".into(), None)],
        };
        let line = to_json(&message).to_string();
        assert_eq!(
            line,
            r#"{"topic":"t","partition":3,"offset":9,"timestamp":1700000000000,"key":null,"value_base64":"/wA=","headers":[{"name":"a","value":"1"},{"name":"b","value":null}]}"#
        );
        let draft = from_json(&line).unwrap();
        assert_eq!(draft.partition, Some(3));
        assert_eq!(draft.value, message.value);
        assert_eq!(draft.headers, message.headers);
    }

    #[test]
    fn json_of_others() {
        assert_eq!(from_json(r#"{"value":{"a":1}}"#).unwrap().value, Some(r#"{"a":1}"#.into()));
        for bad in ["", "[]", r#"{"partition":"x"}"#, r#"{"partition":99999999999}"#, r#"{"headers":[{}]}"#] {
            assert!(from_json(bad).is_err(), "{bad}");
        }
    }
}
