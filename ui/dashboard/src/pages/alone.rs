//! Pages without the frame: errors and sign-in.

use askama::Template;

use super::layout::Files;

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    files: Files,
    status: u16,
    title: &'a str,
    message: &'a str,
}

/// A page that says what went wrong.
pub fn error_page(status: u16, title: &str, message: &str) -> String {
    super::part(&ErrorPage { files: Files::new(), status, title, message })
}

#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage<'a> {
    files: Files,
    uid: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

/// The page to sign in. What was typed stays, save the password.
pub fn login_page(uid: &str, next: &str, problem: Option<&str>) -> String {
    super::part(&LoginPage { files: Files::new(), uid, next, problem })
}
