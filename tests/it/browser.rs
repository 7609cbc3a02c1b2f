//! A headless Chromium, controlled by the DevTools protocol over a pipe: without a port or a further crate.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// The browser, with one page.
pub struct Browser {
    child: Child,
    commands: File,
    answers: Receiver<Value>,
    session: String,
    next: u64,
    /// What the page said in its console or threw, and what the browser had to complain about.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// Where a Chromium is installed.
pub fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

impl Browser {
    /// Starts a browser with an empty page.
    pub fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = profile.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        // The protocol is spoken on the descriptors 3 and 4, which a shell can open.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --force-color-profile=srgb --hide-scrollbars --remote-debugging-pipe \
                      --user-data-dir=\"$1\" about:blank 3<\"$2\" 4>\"$3\"";
        let child = Command::new("sh")
            .args(["-c", script])
            .args([program, &profile.path().join("profile"), &to, &from])
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = File::options().write(true).open(&to).unwrap();
        let mut reader = BufReader::new(File::open(&from).unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() {
                match byte[0] {
                    0 => {
                        let answer = serde_json::from_slice(&std::mem::take(&mut message)).unwrap();
                        if sender.send(answer).is_err() {
                            return;
                        }
                    }
                    other => message.push(other),
                }
            }
        });
        let mut browser = Browser {
            child,
            commands,
            answers,
            session: String::new(),
            next: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session =
            browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        browser
    }

    /// A command of the protocol, and its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.answer();
            if answer["id"] == json!(self.next) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    fn answer(&self) -> Value {
        self.answers.recv_timeout(Duration::from_secs(60)).expect("the browser answers within a minute")
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(parameters["exceptionDetails"].to_string())
            }
            Some("Runtime.consoleAPICalled") => self.complaints.push(parameters["args"].to_string()),
            Some("Log.entryAdded") => self.complaints.push(parameters["entry"].to_string()),
            _ => {}
        }
    }

    /// Opens a file, and waits until it is there.
    pub fn open(&mut self, path: &Path) {
        let url = format!("file://{}", fs::canonicalize(path).unwrap().display());
        self.call("Page.navigate", json!({ "url": url }));
        loop {
            let event = self.answer();
            self.note(&event);
            if event["method"] == "Page.loadEventFired" {
                return self.settle();
            }
        }
    }

    /// What an expression of the page is.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until the page has drawn what it was going to.
    pub fn settle(&mut self) {
        let frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))";
        self.value(frames);
    }

    /// The screen: its width, how many times as large it is drawn, and whether colours are dark.
    pub fn screen(&mut self, width: u32, height: u32, scale: u32, dark: bool) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media);
        self.settle();
    }

    /// The middle of the first element of a selector, scrolled into sight.
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let middle = self.value(&format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap())
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let buttons = u8::from(kind != "mouseReleased");
        let event =
            json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Presses and releases the mouse in the middle of an element.
    pub fn click(&mut self, selector: &str) {
        let at = self.middle(selector);
        self.mouse("mousePressed", at);
        self.mouse("mouseReleased", at);
        self.settle();
    }

    /// Draws the mouse over an element, this far to either side of its middle.
    pub fn drag(&mut self, selector: &str, reach: f64) {
        let (x, y) = self.middle(selector);
        let move_to = |browser: &mut Self, at| {
            browser.call(
                "Input.dispatchMouseEvent",
                json!({ "type": "mouseMoved", "x": at, "y": y, "buttons": 0 }),
            );
        };
        move_to(self, x - reach);
        self.mouse("mousePressed", (x - reach, y));
        for step in [-0.5, 0.0, 0.5, 1.0] {
            let at = x + reach * step;
            let event = json!({ "type": "mouseMoved", "x": at, "y": y, "button": "left", "buttons": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
        self.mouse("mouseReleased", (x + reach, y));
        self.settle();
    }

    /// Types a text where the focus is.
    pub fn text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
        self.settle();
    }

    /// Presses a key.
    pub fn key(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { json!({ "text": key }) } else { json!({}) };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key });
            if kind == "keyDown" && text["text"].is_string() {
                event["text"] = text["text"].clone();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
        self.settle();
    }

    /// The page on paper, as a PDF in base64.
    pub fn print(&mut self) -> String {
        let printed =
            self.call("Page.printToPDF", json!({ "printBackground": true, "preferCSSPageSize": true }));
        printed["data"].as_str().unwrap().to_owned()
    }

    /// A picture of the whole page, as PNG in base64.
    pub fn picture(&mut self) -> String {
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        taken["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
