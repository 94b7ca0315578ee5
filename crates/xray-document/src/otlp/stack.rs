//! `exception.stacktrace`: the text that a language prints, as frames with path and line.
//!
//! Python, Java, Node.js, Go, .NET and Ruby are told apart line by line, since not every span says where it is from.
//! The newest call is first, as the SDKs of X-Ray send it.

use serde_json::{Value, json};

/// The most frames of one exception; how many more there were is told.
const MAX_FRAMES: usize = 100;

/// One exception of a text: the one that was recorded, or one that caused it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Thrown {
    /// Of a cause: what stands after `Caused by:`.
    pub(super) cause: Option<String>,
    pub(super) frames: Vec<Frame>,
    /// Frames that were left out.
    pub(super) truncated: usize,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    path: Option<String>,
    line: Option<u64>,
    label: Option<String>,
}

impl Frame {
    pub(super) fn json(&self) -> Value {
        let mut frame = serde_json::Map::new();
        if let Some(path) = &self.path {
            frame.insert("path".into(), json!(path));
        }
        if let Some(line) = self.line {
            frame.insert("line".into(), json!(line));
        }
        if let Some(label) = &self.label {
            frame.insert("label".into(), json!(label));
        }
        Value::Object(frame)
    }

    fn new(path: &str, line: Option<u64>, label: &str) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            path: some(path.trim()),
            line,
            label: some(label.trim()),
        }
    }
}

/// The exceptions of a text; the first is the one that was recorded. Of a text that no language prints, every line but
/// the first is a frame's label.
pub(super) fn thrown(text: &str) -> Vec<Thrown> {
    let mut all = vec![Thrown::default()];
    let mut is_python = false;
    let mut before = "";
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("Traceback (most recent call last)") {
            // What came before was handled when this was raised.
            is_python = true;
            all = vec![Thrown::default()];
        } else if let Some(cause) = trimmed.strip_prefix("Caused by: ") {
            all.push(Thrown {
                cause: Some(cause.to_owned()),
                ..Thrown::default()
            });
        } else if let Some(frame) = frame(line, trimmed, before)
            && let Some(last) = all.last_mut()
        {
            // The newest call of Python is the last.
            if last.frames.len() < MAX_FRAMES {
                last.frames.push(frame);
            } else if is_python {
                last.frames.remove(0);
                last.frames.push(frame);
                last.truncated += 1;
            } else {
                last.truncated += 1;
            }
        }
        before = trimmed;
    }
    if is_python {
        all.iter_mut().for_each(|thrown| thrown.frames.reverse());
    }
    if all.iter().all(|thrown| thrown.frames.is_empty()) {
        let mut lines = text
            .lines()
            .skip(1)
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let frames = lines.by_ref().take(MAX_FRAMES);
        let frames = frames.map(|line| Frame::new("", None, line)).collect();
        return vec![Thrown {
            cause: None,
            frames,
            truncated: lines.count(),
        }];
    }
    all
}

/// The frame of a line, if it is one; Go writes the function on the line `before`.
fn frame(line: &str, trimmed: &str, before: &str) -> Option<Frame> {
    if let Some(rest) = trimmed.strip_prefix("at ") {
        return Some(frame_at(rest));
    }
    if let Some(rest) = trimmed.strip_prefix("File \"") {
        return python(rest);
    }
    if line.starts_with('\t')
        && let Some(frame) = go(trimmed, before)
    {
        return Some(frame);
    }
    ruby(trimmed.strip_prefix("from ").unwrap_or(trimmed))
}

/// `path", line 12, in name`.
fn python(rest: &str) -> Option<Frame> {
    let (path, rest) = rest.split_once("\", line ")?;
    let (line, name) = rest.split_once(", in ").unwrap_or((rest, ""));
    Some(Frame::new(path, line.trim().parse().ok(), name))
}

/// What follows `at `: Java, Node.js and .NET.
fn frame_at(rest: &str) -> Frame {
    // Ns.Type.Method(String name) in /src/File.cs:line 12
    if let Some((label, place)) = rest.rsplit_once(" in ")
        && let Some((path, line)) = place.rsplit_once(":line ")
    {
        return Frame::new(path, line.trim().parse().ok(), without_arguments(label));
    }
    let Some((label, place)) = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) else {
        // /app/server.js:12:34, also where it was awaited at the top of a module
        let (path, line) = node_place(rest.strip_prefix("async ").unwrap_or(rest));
        return if line.is_some() {
            Frame::new(path, line, "")
        } else {
            Frame::new("", None, rest)
        };
    };
    // handler (/app/server.js:12:34)
    if label.ends_with(' ') {
        let (path, line) = node_place(place);
        return Frame::new(path, line, label);
    }
    // com.example.Shop.pay(Shop.java:12), com.example.Shop.pay(Native Method); the Collector's receiver for X-Ray writes a space
    // before the line.
    let split = place.rsplit_once(':');
    match split.map(|(path, line)| (path, line.trim().parse::<u64>())) {
        Some((path, Ok(line))) => Frame::new(path, Some(line), label),
        _ if place == "Native Method" || place == "Unknown Source" || place.ends_with(".java") => {
            Frame::new(place, None, label)
        }
        // Arguments of .NET, without a place.
        _ => Frame::new("", None, label),
    }
}

/// `path:line:column`.
fn node_place(place: &str) -> (&str, Option<u64>) {
    let split = place.rsplit_once(':').and_then(|(rest, column)| {
        column.parse::<u64>().ok()?;
        let (path, line) = rest.rsplit_once(':')?;
        Some((path, line.parse().ok()?))
    });
    split.map_or((place, None), |(path, line)| (path, Some(line)))
}

/// `/src/main.go:12 +0x1d`, after `main.pay(0x1, 0x2)`.
fn go(trimmed: &str, before: &str) -> Option<Frame> {
    let place = trimmed.split(" +0x").next()?;
    let (path, line) = place.rsplit_once(':')?;
    let line = line.parse().ok()?;
    path.ends_with(".go")
        .then(|| Frame::new(path, Some(line), without_arguments(before)))
}

/// `/app/shop.rb:12:in 'pay'`, or with a backtick before Ruby 3.4; the first line goes on with the message.
fn ruby(trimmed: &str) -> Option<Frame> {
    let (place, rest) = trimmed.split_once(":in ")?;
    let (path, line) = place.rsplit_once(':')?;
    let line = line.parse().ok()?;
    let rest = rest.strip_prefix(['`', '\''])?;
    let name = rest.split('\'').next()?;
    Some(Frame::new(path, Some(line), name))
}

/// A function without what stands in the parentheses at its end.
fn without_arguments(label: &str) -> &str {
    let label = label.trim();
    if !label.ends_with(')') {
        return label;
    }
    // Receivers of Go have parentheses too: main.(*Shop).pay(...).
    label.rfind('(').map_or(label, |at| &label[..at])
}

/// The frames of the first exception of a text, as they are in a document.
pub(super) fn frames(text: &str) -> Vec<Value> {
    thrown(text)[0].frames.iter().map(Frame::json).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn python() {
        let text = r#"Traceback (most recent call last):
  File "/app/old.py", line 1, in old
    raise KeyError
KeyError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/app.py", line 12, in handler
    pay(cart)
  File "/app/pay.py", line 5, in pay
    raise ValueError("no")
ValueError: no
"#;
        assert_eq!(
            frames(text),
            [
                json!({"path": "/app/pay.py", "line": 5, "label": "pay"}),
                json!({"path": "/app/app.py", "line": 12, "label": "handler"}),
            ]
        );
    }

    #[test]
    fn java_as_the_receiver_of_the_collector_writes_it() {
        assert_eq!(
            frames("a.B: no\n\tat com.example.Shop.pay(Shop.java: 12)\n"),
            [json!({"path": "Shop.java", "line": 12, "label": "com.example.Shop.pay"})]
        );
    }

    #[test]
    fn java_with_its_causes() {
        let text = "java.lang.IllegalStateException: no\n\tat com.example.Shop.pay(Shop.java:12)\n\
                    \tat java.base/java.lang.Thread.run(Thread.java:829)\n\tat sun.X.y(Native Method)\n\
                    Caused by: java.io.IOException: gone: far away\n\tat com.example.Net.get(Net.java:7)\n\t... 2 more";
        let all = thrown(text);
        assert_eq!(
            frames(text),
            [
                json!({"path": "Shop.java", "line": 12, "label": "com.example.Shop.pay"}),
                json!({"path": "Thread.java", "line": 829, "label": "java.base/java.lang.Thread.run"}),
                json!({"path": "Native Method", "label": "sun.X.y"}),
            ]
        );
        assert_eq!(
            all[1].cause.as_deref(),
            Some("java.io.IOException: gone: far away")
        );
        assert_eq!(
            all[1].frames[0].json(),
            json!({"path": "Net.java", "line": 7, "label": "com.example.Net.get"})
        );
    }

    #[test]
    fn node() {
        let text = "Error: no\n    at pay (/app/pay.js:5:11)\n    at async Layer.handle [as handle_request] (/app/node_modules/x.js:95:5)\n\
                    \x20   at async file:///app/main.mjs:3:1\n    at /app/x.js:9:2\n    at new Promise (<anonymous>)";
        assert_eq!(
            frames(text),
            [
                json!({"path": "/app/pay.js", "line": 5, "label": "pay"}),
                json!({"path": "/app/node_modules/x.js", "line": 95, "label": "async Layer.handle [as handle_request]"}),
                json!({"path": "file:///app/main.mjs", "line": 3}),
                json!({"path": "/app/x.js", "line": 9}),
                json!({"path": "<anonymous>", "label": "new Promise"}),
            ]
        );
    }

    #[test]
    fn go() {
        let text = "goroutine 1 [running]:\nmain.(*Shop).pay(0xc000010000, 0x5)\n\t/src/shop.go:12 +0x1d\n\
                    main.main()\n\t/src/main.go:7 +0x25\n";
        assert_eq!(
            frames(text),
            [
                json!({"path": "/src/shop.go", "line": 12, "label": "main.(*Shop).pay"}),
                json!({"path": "/src/main.go", "line": 7, "label": "main.main"}),
            ]
        );
    }

    #[test]
    fn dotnet() {
        let text = "System.InvalidOperationException: no\n   at Shop.Cart.Pay(String card, Int32 n) in /src/Cart.cs:line 12\n\
                    \x20  at Shop.Program.Main(String[] args) in C:\\src\\Program.cs:line 7\n\
                    \x20  at System.Threading.Tasks.Task.Run(Action action)";
        assert_eq!(
            frames(text),
            [
                json!({"path": "/src/Cart.cs", "line": 12, "label": "Shop.Cart.Pay"}),
                json!({"path": "C:\\src\\Program.cs", "line": 7, "label": "Shop.Program.Main"}),
                json!({"label": "System.Threading.Tasks.Task.Run"}),
            ]
        );
    }

    #[test]
    fn ruby() {
        let text = "/app/pay.rb:5:in `pay': no (RuntimeError)\n\tfrom /app/app.rb:12:in 'Shop#call'\n\tfrom -e:1:in `<main>'";
        assert_eq!(
            frames(text),
            [
                json!({"path": "/app/pay.rb", "line": 5, "label": "pay"}),
                json!({"path": "/app/app.rb", "line": 12, "label": "Shop#call"}),
                json!({"path": "-e", "line": 1, "label": "<main>"}),
            ]
        );
    }

    #[test]
    fn what_no_language_prints_is_shown_line_by_line() {
        assert_eq!(
            frames("Error\n  in the middle\n\nof it"),
            [json!({"label": "in the middle"}), json!({"label": "of it"})]
        );
        assert_eq!(frames(""), Vec::<Value>::new());
    }

    #[test]
    fn the_newest_hundred_frames_are_kept() {
        let java: String = (0..130).map(|n| format!("\tat a.b(C.java:{n})\n")).collect();
        let python: String = (0..130)
            .map(|n| format!("  File \"a.py\", line {n}, in f\n"))
            .collect();
        let python = format!("Traceback (most recent call last):\n{python}");
        for (text, newest) in [(java, 0), (python, 129)] {
            let found = &thrown(&text)[0];
            assert_eq!((found.frames.len(), found.truncated), (100, 30));
            assert_eq!(found.frames[0].line, Some(newest));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "((at |File \"|\t|from |Caused by: |Traceback |:in |:line |[a-zé(`':.1-3\"/ ]|\n){0,4}){0,12}") {
            let _found = thrown(&text);
        }
    }
}
