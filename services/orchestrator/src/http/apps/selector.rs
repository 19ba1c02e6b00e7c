//! Label selectors: `k`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by
//! commas; a backslash takes the next character as it is.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    key: String,
    /// Allowed or forbidden values; none asks for the key alone.
    values: Option<(bool, Vec<String>)>,
}

impl Selector {
    /// Every form needs the key to be there.
    pub(super) fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(value) = labels.get(&self.key) else { return false };
        self.values.as_ref().is_none_or(|(allowed, values)| values.contains(value) == *allowed)
    }
}

/// Reads selectors, or says what is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Selector>, String> {
    let mut tokens = tokens(text).into_iter().peekable();
    let mut selectors = Vec::new();
    let wrong = || format!("'{text}' is not a label selector");
    loop {
        let Some(Token::Word(key)) = tokens.next() else { return Err(wrong()) };
        let values = match tokens.peek() {
            None | Some(Token::Comma) => None,
            Some(_) => {
                let allowed = match tokens.next() {
                    Some(Token::Equal) => return_one(&mut tokens).map(|value| (true, vec![value])),
                    Some(Token::NotEqual) => {
                        return_one(&mut tokens).map(|value| (false, vec![value]))
                    }
                    Some(Token::Word(word)) if word == "in" => {
                        list(&mut tokens).map(|values| (true, values))
                    }
                    Some(Token::Word(word)) if word == "notin" => {
                        list(&mut tokens).map(|values| (false, values))
                    }
                    _ => None,
                };
                Some(allowed.ok_or_else(wrong)?)
            }
        };
        selectors.push(Selector { key, values });
        match tokens.next() {
            None => return Ok(selectors),
            Some(Token::Comma) => {}
            Some(_) => return Err(wrong()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Equal,
    NotEqual,
    Comma,
    Open,
    Close,
}

fn return_one(tokens: &mut impl Iterator<Item = Token>) -> Option<String> {
    match tokens.next()? {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn list(tokens: &mut impl Iterator<Item = Token>) -> Option<Vec<String>> {
    let Token::Open = tokens.next()? else { return None };
    let mut values = Vec::new();
    loop {
        values.push(return_one(tokens)?);
        match tokens.next()? {
            Token::Comma => {}
            Token::Close => return Some(values),
            _ => return None,
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '=' | '!' if chars.next_if_eq(&'=').is_some() => {
                if c == '=' {
                    Token::Equal
                } else {
                    Token::NotEqual
                }
            }
            first => {
                let mut word = String::new();
                let mut next = Some(first);
                while let Some(c) = next {
                    if c == '\\' {
                        word.extend(chars.next());
                    } else {
                        word.push(c);
                    }
                    next = chars.next_if(|c| !c.is_whitespace() && !",()=!".contains(*c));
                }
                Token::Word(word)
            }
        };
        tokens.push(token);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_label() {
        let labels = BTreeMap::from([
            ("env".to_owned(), "prod".to_owned()),
            ("a,b".to_owned(), "x".to_owned()),
        ]);
        for (text, admitted) in [
            ("env", true),
            ("env==prod", true),
            ("env!=prod", false),
            ("env in (test, prod)", true),
            ("env notin (test,prod)", false),
            ("env notin (test)", true),
            ("team!=x", false),
            ("env==prod, team", false),
            ("env,a\\,b==x", true),
        ] {
            let selectors = parse(text).unwrap();
            assert_eq!(selectors.iter().all(|one| one.admits(&labels)), admitted, "{text}");
        }
        for bad in ["", ",", "env==", "env in prod", "env in (", "env prod", "env==a b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
