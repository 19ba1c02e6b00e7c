//! Local users: passwords in the store, signed tokens, sign-in.
//!
//! A token names its user and when it ends, nothing else, as DC/OS clients
//! expect. It is valid only while its user exists.

pub mod http;
pub mod limiter;
pub mod password;
pub mod token;
pub mod user;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use ::http::{HeaderMap, header};
use karman_rt::Tasks;
use karman_rt::time::now_ms;
use karman_store::{Change, Entry, Fence, Replica, Revision, Store};
use tokio::sync::{Semaphore, watch};

use self::limiter::Limiter;
use self::token::Signer;
use self::user::{Stored, User};
use self::writer::Writer;
use crate::Superuser;

/// How programs are told to sign in: a user id and a password for a token.
pub const CHALLENGE: &str = "acsjwt";
pub const AUTH_COOKIE: &str = "dcos-acs-auth-cookie";
pub const INFO_COOKIE: &str = "dcos-acs-info-cookie";
pub const AUTH_COOKIES: &[&str] = &[AUTH_COOKIE, INFO_COOKIE];

const PREFIX: &str = "/gateway/";
const USERS: &str = "/gateway/users/";
const KEY: &str = "/gateway/identity/key";

/// A password check takes 19 MiB and tens of milliseconds of a core, so few
/// run at a time; others wait.
const HASHES_AT_A_TIME: usize = 2;

/// Users and the key that signs their tokens, as this gateway knows them. All
/// gateways check; one of them, which leads, writes.
#[derive(Debug)]
pub struct Identity {
    store: Arc<dyn Store>,
    known: Arc<Known>,
    leading: watch::Receiver<Option<Fence>>,
    limiter: Mutex<Limiter>,
    hashing: Semaphore,
}

/// What is in the store.
#[derive(Debug, Default)]
struct Known {
    users: RwLock<BTreeMap<String, User>>,
    signer: RwLock<Option<Arc<Signer>>>,
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
    #[error("stopped before the users were known")]
    Stopped,
}

/// Why a change of a user is not stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("another gateway keeps the users")]
    NotLeading,
    #[error(transparent)]
    Store(#[from] karman_store::Error),
}

impl Identity {
    /// Follows users and key in the store; whoever leads makes the key and the
    /// superuser at the first start. Returns once both are known. `holder` is
    /// where other gateways send changes to while this one leads.
    pub async fn open(
        store: Arc<dyn Store>,
        holder: &str,
        superuser: &Superuser,
        tasks: &Tasks,
    ) -> Result<Self, OpenError> {
        let superuser = first(superuser).await?;
        let known = Arc::<Known>::default();
        let replica = Replica::follow(Arc::clone(&store), PREFIX, tasks);
        let (leads, leading) = watch::channel(None);
        let writer =
            Writer { store: Arc::clone(&store), holder: holder.to_owned(), superuser, leads };
        tasks.spawn_critical("identity", writer.run());
        let mut revision = replica.revision();
        while !known.update(&replica.entries())? {
            tokio::select! {
                changed = revision.changed() => changed.map_err(|_closed| OpenError::Stopped)?,
                () = tasks.cancelled() => return Err(OpenError::Stopped),
            }
        }
        tasks.spawn_critical("users", follow(replica, revision, Arc::clone(&known)));
        let limiter = Mutex::new(Limiter::default());
        let hashing = Semaphore::new(HASHES_AT_A_TIME);
        Ok(Self { store, known, leading, limiter, hashing })
    }

    /// Whether changes of users are stored here.
    pub fn leads(&self) -> bool {
        self.leading.borrow().is_some()
    }

    /// What signs tokens and checks them.
    pub fn signer(&self) -> Arc<Signer> {
        let signer = self.known.signer.read().unwrap_or_else(PoisonError::into_inner);
        signer.clone().expect("identity is open once there is a key")
    }

    /// The user that a request's token names, if it is valid now.
    pub fn caller(&self, headers: &HeaderMap) -> Option<String> {
        let token = presented(headers)?;
        let uid = self.signer().verify(token, now_ms() / 1000).ok()?;
        self.users_now().contains_key(&uid).then_some(uid)
    }

    pub fn user(&self, uid: &str) -> Option<User> {
        self.users_now().get(uid).cloned()
    }

    pub fn users(&self) -> Vec<User> {
        self.users_now().values().cloned().collect()
    }

    fn users_now(&self) -> RwLockReadGuard<'_, BTreeMap<String, User>> {
        self.known.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a user, durably before anybody can sign in as it.
    pub async fn save(&self, user: User) -> Result<(), WriteError> {
        self.commit(put(&user)).await?;
        self.known.change(|users| users.insert(user.uid.clone(), user));
        Ok(())
    }

    pub async fn remove(&self, uid: &str) -> Result<(), WriteError> {
        self.commit(Change::Delete { key: format!("{USERS}{uid}") }).await?;
        self.known.change(|users| users.remove(uid));
        Ok(())
    }

    async fn commit(&self, change: Change) -> Result<(), WriteError> {
        let fence = self.leading.borrow().clone().ok_or(WriteError::NotLeading)?;
        self.store.commit(&fence, vec![change]).await?;
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

impl Known {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, User>) -> T) {
        let _before = change(&mut self.users.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes over what the store says; true once there is all that is needed.
    fn update(&self, entries: &[Entry]) -> Result<bool, OpenError> {
        let mut users = BTreeMap::new();
        for entry in entries {
            if entry.key.starts_with(USERS) {
                let user = user::decode(&entry.value)
                    .map_err(|source| OpenError::Damaged { key: entry.key.clone(), source })?;
                users.insert(user.uid.clone(), user);
            } else if entry.key == KEY {
                let signer = Arc::new(Signer::decode(&entry.value)?);
                *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some(signer);
            }
        }
        let complete = !users.is_empty()
            && self.signer.read().unwrap_or_else(PoisonError::into_inner).is_some();
        self.change(|known| *known = users);
        Ok(complete)
    }
}

async fn follow(
    replica: Replica,
    mut revision: watch::Receiver<Revision>,
    known: Arc<Known>,
) -> Result<(), OpenError> {
    while revision.changed().await.is_ok() {
        known.update(&replica.entries())?;
    }
    Ok(())
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
