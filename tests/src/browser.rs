//! Headless Chromium, driven over the WebDriver protocol of chromedriver.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::{processes, requirement};

/// How long something on a page may take to appear.
const APPEAR: Duration = Duration::from_secs(30);
/// The name of an element's id in WebDriver answers, fixed by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser window; closed with the value.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
    /// Held open: the driver ends when it cannot write any more.
    _output: Lines<BufReader<ChildStdout>>,
    profile: TempDir,
}

impl Browser {
    /// `None` where Chromium is not installed.
    pub async fn open(http: &reqwest::Client) -> Option<Self> {
        let driver = requirement::program("chromedriver")?;
        let chromium =
            requirement::program("chromium").or_else(|| requirement::program("google-chrome"))?;
        let profile = tempfile::Builder::new()
            .prefix("karman-test-browser-")
            .tempdir()
            .expect("a temporary folder");
        let (driver, output, port) =
            tokio::task::spawn_blocking(move || launch(&driver)).await.expect("the driver is read");
        let base = format!("http://127.0.0.1:{port}/session");
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({ "binary": chromium, "args": args });
        let capabilities =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser =
            Self { http: http.clone(), session: base, driver, _output: output, profile };
        let answer =
            browser.send(Method::POST, "", &capabilities).await.expect("a browser session");
        let id = answer["sessionId"].as_str().expect("a session id").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    pub async fn go(&self, url: &str) {
        self.send(Method::POST, "/url", &json!({ "url": url })).await.expect("the page loads");
    }

    /// The address of the page.
    pub async fn address(&self) -> String {
        let url = self.send(Method::GET, "/url", &Value::Null).await.expect("an address");
        url.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an element and clicks it.
    pub async fn click(&self, css: &str) {
        eventually(&format!("{css} can be clicked"), APPEAR, async || {
            let element = self.find(css).await?;
            self.send(Method::POST, &format!("/element/{element}/click"), &json!({})).await
        })
        .await;
    }

    /// Waits for a field and replaces what it holds.
    pub async fn fill(&self, css: &str, text: &str) {
        eventually(&format!("{css} can be filled"), APPEAR, async || {
            let element = self.find(css).await?;
            self.send(Method::POST, &format!("/element/{element}/clear"), &json!({})).await?;
            self.send(Method::POST, &format!("/element/{element}/value"), &json!({ "text": text }))
                .await
        })
        .await;
    }

    /// Waits until an element's text contains `part`, without loading the page
    /// again.
    pub async fn sees(&self, css: &str, part: &str, limit: Duration) {
        eventually(&format!("{css} shows '{part}'"), limit, async || {
            let text = self.text(css).await?;
            if text.contains(part) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// The visible text of an element.
    ///
    /// # Errors
    /// What went wrong, as text.
    pub async fn text(&self, css: &str) -> Result<String, String> {
        let element = self.find(css).await?;
        let text =
            self.send(Method::GET, &format!("/element/{element}/text"), &Value::Null).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// What a script returns.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run(&self, script: &str) -> Value {
        self.send(Method::POST, "/execute/sync", &json!({ "script": script, "args": [] }))
            .await
            .expect("the script runs")
    }

    /// Saves what the window shows.
    pub async fn screenshot(&self, folder: &Path, name: &str) -> PathBuf {
        let image =
            self.send(Method::GET, "/screenshot", &Value::Null).await.expect("a screenshot");
        let image =
            base64::engine::general_purpose::STANDARD.decode(image.as_str().unwrap_or_default());
        std::fs::create_dir_all(folder).expect("a folder for screenshots");
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, image.expect("the image is base64"))
            .expect("the screenshot can be written");
        path
    }

    async fn find(&self, css: &str) -> Result<String, String> {
        let query = json!({ "using": "css selector", "value": css });
        let answer = self.send(Method::POST, "/element", &query).await?;
        answer[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| format!("no element in {answer}"))
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.session)).timeout(APPEAR);
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let ok = response.status().is_success();
        let answer: Value = response.json().await.map_err(|error| error.to_string())?;
        let value = answer["value"].clone();
        if ok { Ok(value) } else { Err(format!("{}: {}", value["error"], value["message"])) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser's processes are known by their profile; the driver must
        // not start them again.
        let _ended = (self.driver.kill(), self.driver.wait());
        let profile = self.profile.path().display().to_string();
        for process in processes::all() {
            if process.args.iter().any(|arg| arg.contains(&profile)) {
                processes::kill_9(process.pid);
            }
        }
    }
}

/// Starts the driver on a port of its choice.
fn launch(driver: &Path) -> (Child, Lines<BufReader<ChildStdout>>, u16) {
    let mut child = Command::new(driver)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    (child, lines, port.expect("chromedriver says its port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datacenter::client;

    const PAGE: &str = "data:text/html,<input id=name><button id=go onclick=\"document.getElementById('out').textContent='hello '+document.getElementById('name').value\">Go</button><p id=out>";

    #[tokio::test]
    async fn a_page_is_filled_clicked_and_seen() {
        let Some(browser) = Browser::open(&client()).await else {
            requirement::missing("Chromium with chromedriver");
            return;
        };
        browser.go(PAGE).await;
        browser.fill("#name", "world").await;
        browser.click("#go").await;
        browser.sees("#out", "hello world", APPEAR).await;
        assert_eq!(browser.run("return 1 + 1").await, 2);
        let folder = tempfile::tempdir().unwrap();
        let image = std::fs::read(browser.screenshot(folder.path(), "page").await).unwrap();
        assert!(image.starts_with(b"\x89PNG"));
    }
}
