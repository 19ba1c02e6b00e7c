//! Local users: passwords in the store, signed tokens, sign-in.
//!
//! A token names its user and when it ends, nothing else, as DC/OS clients
//! expect. It is valid only while its user exists.

pub mod http;
pub mod limiter;
pub mod password;
pub mod token;
pub mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ::http::{HeaderMap, header};
use karman_rt::time::now_ms;
use karman_store::{Change, Leadership, Store};
use tokio::sync::Semaphore;

use self::limiter::Limiter;
use self::token::Signer;
use self::user::{Stored, User};
use crate::Superuser;

/// How programs are told to sign in: a user id and a password for a token.
pub const CHALLENGE: &str = "acsjwt";
pub const AUTH_COOKIE: &str = "dcos-acs-auth-cookie";
pub const INFO_COOKIE: &str = "dcos-acs-info-cookie";
pub const AUTH_COOKIES: &[&str] = &[AUTH_COOKIE, INFO_COOKIE];

const USERS: &str = "/gateway/users/";
const KEY: &str = "/gateway/identity/key";

/// A password check takes 19 MiB and tens of milliseconds of a core, so few
/// run at a time; others wait.
const HASHES_AT_A_TIME: usize = 2;

#[derive(Debug)]
pub struct Identity {
    store: Arc<dyn Store>,
    leadership: Leadership,
    users: RwLock<BTreeMap<String, User>>,
    pub signer: Signer,
    limiter: Mutex<Limiter>,
    hashing: Semaphore,
}

/// Why identity cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read or write the users in the store")]
    Store(#[from] karman_store::Error),
    #[error("'{key}' in the store cannot be read; it was written by another release or damaged")]
    Damaged { key: String, source: serde_json::Error },
    #[error("the key that signs tokens cannot be used")]
    Key(#[from] token::KeyError),
    #[error("the password of superuser '{uid}' in the configuration cannot be used")]
    Superuser { uid: String, source: password::Error },
    #[error("the superuser '{uid}' in the configuration cannot be used")]
    Uid { uid: String, source: user::Error },
}

impl Identity {
    /// Loads users and key; makes the key and the superuser on the first start.
    /// `holder` says to the others which gateway writes.
    pub async fn open(
        store: Arc<dyn Store>,
        holder: &str,
        superuser: &Superuser,
    ) -> Result<Self, OpenError> {
        let leadership = store.campaign("gateway", holder).await?;
        let mut users = BTreeMap::new();
        let mut changes = Vec::new();
        for entry in store.load(USERS).await?.entries {
            let user = user::decode(&entry.value)
                .map_err(|source| OpenError::Damaged { key: entry.key.clone(), source })?;
            users.insert(user.uid.clone(), user);
        }
        let signer = match store.load(KEY).await?.entries.into_iter().find(|entry| entry.key == KEY)
        {
            Some(entry) => Signer::decode(&entry.value)?,
            None => {
                let (signer, value) = Signer::generate()?;
                changes.push(Change::Put { key: KEY.into(), value });
                signer
            }
        };
        if !users.contains_key(&superuser.uid) {
            let user = first(superuser).await?;
            changes.push(put(&user));
            users.insert(user.uid.clone(), user);
        }
        if !changes.is_empty() {
            store.commit(&leadership.fence, changes).await?;
        }
        let (users, limiter) = (RwLock::new(users), Mutex::new(Limiter::default()));
        Ok(Self {
            store,
            leadership,
            users,
            signer,
            limiter,
            hashing: Semaphore::new(HASHES_AT_A_TIME),
        })
    }

    /// The user that a request's token names, if it is valid now.
    pub fn caller(&self, headers: &HeaderMap) -> Option<String> {
        let token = presented(headers)?;
        let uid = self.signer.verify(token, now_ms() / 1000).ok()?;
        self.users.read().unwrap_or_else(PoisonError::into_inner).contains_key(&uid).then_some(uid)
    }

    pub fn user(&self, uid: &str) -> Option<User> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    pub fn users(&self) -> Vec<User> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Stores a user, durably before anybody can sign in as it.
    pub async fn save(&self, user: User) -> Result<(), karman_store::Error> {
        self.store.commit(&self.leadership.fence, vec![put(&user)]).await?;
        self.users.write().unwrap_or_else(PoisonError::into_inner).insert(user.uid.clone(), user);
        Ok(())
    }

    pub async fn remove(&self, uid: &str) -> Result<(), karman_store::Error> {
        let change = Change::Delete { key: format!("{USERS}{uid}") };
        self.store.commit(&self.leadership.fence, vec![change]).await?;
        self.users.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
        Ok(())
    }

    /// Checks a password. An unknown user takes as long as a known one, so that
    /// nobody learns who exists.
    pub async fn check(&self, uid: &str, password: String, from: &str) -> Result<User, Denied> {
        let key = format!("{from} {uid}");
        let now = now_ms();
        if let Some(wait) =
            self.limiter.lock().unwrap_or_else(PoisonError::into_inner).blocked(&key, now)
        {
            return Err(Denied::TooMany { wait_seconds: wait.div_ceil(1000) });
        }
        let user = self.user(uid);
        let hash = user
            .as_ref()
            .map_or_else(|| password::NOBODY.to_owned(), |user| user.password_hash.clone());
        let Ok(_permit) = self.hashing.acquire().await else { return Err(Denied::Wrong) };
        let matches = password::verify(password, hash).await;
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        match user {
            Some(user) if matches => {
                limiter.succeeded(&key);
                Ok(user)
            }
            _ => {
                limiter.failed(key, now);
                Err(Denied::Wrong)
            }
        }
    }
}

/// Why a sign-in is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the user id or the password is wrong")]
    Wrong,
    #[error("too many wrong passwords; try again in {wait_seconds} seconds")]
    TooMany { wait_seconds: u64 },
}

async fn first(superuser: &Superuser) -> Result<User, OpenError> {
    let Superuser { uid, password } = superuser;
    user::check_uid(uid).map_err(|source| OpenError::Uid { uid: uid.clone(), source })?;
    let hash = match password {
        crate::Password::Plain(plain) => password::hash(plain.clone()).await,
        crate::Password::Hash(hash) => password::check_hash(hash).map(|()| hash.clone()),
    };
    let password_hash = hash.map_err(|source| OpenError::Superuser { uid: uid.clone(), source })?;
    Ok(User {
        uid: uid.clone(),
        description: "superuser of the configuration".into(),
        password_hash,
    })
}

fn put(user: &User) -> Change {
    let value = serde_json::to_vec(&Stored::V1(user.clone())).unwrap_or_default();
    Change::Put { key: format!("{USERS}{}", user.uid), value: value.into() }
}

/// The token of a request: from `Authorization`, else from the cookie.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return in_header(value.to_str().ok()?);
    }
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(AUTH_COOKIE)?.strip_prefix('='))
}

fn in_header(value: &str) -> Option<&str> {
    let token = value.strip_prefix("token=").or_else(|| value.strip_prefix("Bearer "))?.trim();
    (!token.is_empty()).then_some(token)
}

/// Whether `Authorization` carries a token of ours rather than, say, a
/// password for the service itself.
pub fn carries_token(headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.starts_with("token=") || value.starts_with("Bearer "))
}

#[cfg(test)]
mod tests;
