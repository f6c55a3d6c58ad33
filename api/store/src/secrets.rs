//! Values encrypted at rest: AES-256-GCM under a data key of each owner, which itself is encrypted under a master key
//! from a file. Erasing an owner is shredding the data key. A value is bound to its table, row and column, so that it
//! cannot be moved. Never prints a key or a value; wipes them when dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice};

use crate::config::{ServiceName, StorageConfig};
use crate::database::{Database, Tx};
use crate::error::StoreError;
use crate::folder::DataFolder;
use crate::{execute_on_both, on_both};

/// First byte of a sealed value.
const FORMAT: u8 = 1;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// Bytes that sealing adds: format, nonce, tag.
pub const OVERHEAD_BYTES: usize = 1 + NONCE_LEN + 16;

/// Data keys of one step of a rotation.
const ROTATION_BATCH: i64 = 200;

type KeyBytes = Zeroizing<[u8; KEY_LEN]>;

/// Where a sealed value stands. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// The table's name.
    pub table: &'p str,
    /// The row's identity.
    pub row: &'p str,
    /// The column's name.
    pub column: &'p str,
}

/// The master keys of one service.
pub struct Vault {
    service: ServiceName,
    /// Where the keys are; an operator's own file is never written.
    file: PathBuf,
    own: Option<DataFolder>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    active: String,
    by_id: BTreeMap<String, KeyBytes>,
    /// As in the file, oldest first; the last is the active one.
    order: Vec<String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("service", &self.service).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Vault {
    /// Reads the master keys; at the first start of all, generates one.
    ///
    /// # Errors
    /// When the file is not there though data keys are wrapped under it, can be read by others, or is not a key file.
    pub async fn open(
        config: &StorageConfig,
        service: ServiceName,
        folder: &DataFolder,
        database: &Database,
    ) -> Result<Self, StoreError> {
        let own = config.master_keys_file.is_none().then(|| folder.clone());
        let file = match &config.master_keys_file {
            Some(file) => file.clone(),
            None => folder.path().join(key_file(service)),
        };
        let used = used_master_keys(database).await?;
        if let (Some(folder), false, true) = (&own, file.exists(), used.is_empty()) {
            let mut keys = Keys::default();
            keys.add_random()?;
            folder.write_durable(&key_file(service), keys.text().as_bytes())?;
        }
        let keys = Keys::read(&file)?;
        if let Some(missing) = used.iter().find(|id| !keys.by_id.contains_key(*id)) {
            return Err(StoreError::Corrupt {
                what: format!("{} (master key {missing} is not in it)", file.display()),
                remedy: "put the key file back that belongs to this database; without it personal data cannot be read"
                    .to_owned(),
            });
        }
        Ok(Self { service, file, own, keys: Mutex::new(keys) })
    }

    /// Encrypts a value of `owner`, whose data key is made at the first.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the owner's key was shredded.
    pub async fn seal(
        &self,
        tx: &mut Tx,
        owner: &str,
        place: Place<'_>,
        value: &[u8],
        now_ms: i64,
    ) -> Result<Vec<u8>, StoreError> {
        let key = match self.data_key(tx, owner).await {
            Err(StoreError::NotFound) => self.new_data_key(tx, owner, now_ms).await?,
            other => other?,
        };
        encrypt(&key, &place.bytes(owner), value)
    }

    /// Decrypts a value that [`Vault::seal`] gave for the same owner and place.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the owner's key was shredded, [`StoreError::Corrupt`] when the bytes are not the
    /// value sealed there.
    pub async fn open_sealed(
        &self,
        tx: &mut Tx,
        owner: &str,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, StoreError> {
        let key = self.data_key(tx, owner).await?;
        let value = decrypt(&key, &place.bytes(owner), sealed).ok_or_else(|| StoreError::Corrupt {
            what: format!("a sealed value in {}.{}", place.table, place.column),
            remedy: "it was changed or moved; restore it from a back-up".to_owned(),
        })?;
        Ok(value)
    }

    /// Makes everything sealed for `owner` unreadable for ever, in this database. Back-ups hold the key until they go.
    pub async fn shred(&self, tx: &mut Tx, owner: &str, now_ms: i64) -> Result<(), StoreError> {
        // The row stays as a mark: an owner who was erased must not get a new key by a late write.
        execute_on_both!(tx, c => sqlx::query(
            "INSERT INTO data_keys (owner, master_key_id, wrapped, created_ms, shredded_ms) VALUES ($1, '', NULL, $2, $2) \
             ON CONFLICT (owner) DO UPDATE SET wrapped = NULL, shredded_ms = $2"
        ).bind(owner).bind(now_ms).execute(c))
        .map(drop)
    }

    /// Wraps every data key under a new master key (of our own file), or under the last one in the operator's file, and
    /// drops the old ones from our own file. May be stopped and run again. Returns how many data keys were wrapped.
    pub async fn rotate(&self, database: &Database) -> Result<u64, StoreError> {
        self.next_active()?;
        let active = &self.lock().active.clone();
        let mut wrapped = 0;
        loop {
            let step = database
                .write(|mut tx| async move {
                    let tx = &mut *tx;
                    self.rewrap_some(tx, active).await
                })
                .await?;
            wrapped += step;
            if step == 0 {
                break;
            }
        }
        self.drop_others(active)?;
        Ok(wrapped)
    }

    fn next_active(&self) -> Result<(), StoreError> {
        let mut next = Keys::read(&self.file)?;
        if let Some(folder) = &self.own {
            next.add_random()?;
            // Durable before it is used: a data key under a lost master key is lost.
            folder.write_durable(&key_file(self.service), next.text().as_bytes())?;
        }
        *self.lock() = next;
        Ok(())
    }

    fn drop_others(&self, active: &str) -> Result<(), StoreError> {
        let Some(folder) = &self.own else { return Ok(()) };
        let mut keys = self.lock();
        keys.order.retain(|id| id == active);
        keys.by_id.retain(|id, _| id == active);
        folder.write_durable(&key_file(self.service), keys.text().as_bytes())
    }

    async fn rewrap_some(&self, tx: &mut Tx, active: &str) -> Result<u64, StoreError> {
        let rows: Vec<(String, String, Vec<u8>)> = on_both!(&mut *tx, c => sqlx::query_as(
            "SELECT owner, master_key_id, wrapped FROM data_keys \
             WHERE wrapped IS NOT NULL AND master_key_id <> $1 ORDER BY owner LIMIT $2"
        ).bind(active).bind(ROTATION_BATCH).fetch_all(c))?;
        for (owner, master_key_id, wrapped) in &rows {
            let key = self.unwrap_key(owner, master_key_id, wrapped)?;
            let wrapped = self.wrap_key(owner, active, &key)?;
            // Only where it is still the key that was read: a shredding in between must win.
            execute_on_both!(&mut *tx, c => sqlx::query(
                "UPDATE data_keys SET master_key_id = $3, wrapped = $4 \
                 WHERE owner = $1 AND master_key_id = $2 AND wrapped IS NOT NULL"
            ).bind(owner).bind(master_key_id).bind(active).bind(wrapped).execute(c))?;
        }
        Ok(rows.len() as u64)
    }

    async fn data_key(&self, tx: &mut Tx, owner: &str) -> Result<KeyBytes, StoreError> {
        let (master_key_id, wrapped): (String, Option<Vec<u8>>) = on_both!(tx, c => sqlx::query_as(
            "SELECT master_key_id, wrapped FROM data_keys WHERE owner = $1"
        ).bind(owner).fetch_one(c))?;
        match wrapped {
            Some(wrapped) => self.unwrap_key(owner, &master_key_id, &wrapped),
            None => Err(StoreError::Refused("this owner's key was shredded".to_owned())),
        }
    }

    async fn new_data_key(&self, tx: &mut Tx, owner: &str, now_ms: i64) -> Result<KeyBytes, StoreError> {
        let key = random_key()?;
        let active = self.lock().active.clone();
        let wrapped = self.wrap_key(owner, &active, &key)?;
        execute_on_both!(&mut *tx, c => sqlx::query(
            "INSERT INTO data_keys (owner, master_key_id, wrapped, created_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (owner) DO NOTHING"
        ).bind(owner).bind(&active).bind(wrapped).bind(now_ms).execute(c))?;
        // Read back: another transaction may have been first, and its key is the owner's.
        self.data_key(tx, owner).await
    }

    fn wrap_key(&self, owner: &str, master_key_id: &str, key: &KeyBytes) -> Result<Vec<u8>, StoreError> {
        let keys = self.lock();
        let master = keys.by_id.get(master_key_id).ok_or_else(|| lost(master_key_id))?;
        encrypt(master, &wrap_place(owner, master_key_id), &key[..])
    }

    fn unwrap_key(&self, owner: &str, master_key_id: &str, wrapped: &[u8]) -> Result<KeyBytes, StoreError> {
        let keys = self.lock();
        let master = keys.by_id.get(master_key_id).ok_or_else(|| lost(master_key_id))?;
        let key = decrypt(master, &wrap_place(owner, master_key_id), wrapped);
        let key = key.and_then(|key| Some(Zeroizing::new(<[u8; KEY_LEN]>::try_from(key.expose_secret()).ok()?)));
        key.ok_or_else(|| StoreError::Corrupt {
            what: "a row of data_keys".to_owned(),
            remedy: "restore the table from a back-up, with the key file of that time".to_owned(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        // OK because the keys are replaced whole: a panic elsewhere leaves no half of them.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(master_key_id: &str) -> StoreError {
    StoreError::Corrupt {
        what: format!("the master keys (there is no {master_key_id})"),
        remedy: "another process has rotated them: start this one again".to_owned(),
    }
}

async fn used_master_keys(database: &Database) -> Result<Vec<String>, StoreError> {
    const USED: &str = "SELECT DISTINCT master_key_id FROM data_keys WHERE wrapped IS NOT NULL";
    database
        .read(|mut tx| async move {
            let tx = &mut *tx;
            on_both!(tx, c => sqlx::query_scalar(USED).fetch_all(c))
        })
        .await
}

fn key_file(service: ServiceName) -> String {
    format!("{service}.keys")
}

impl Keys {
    /// One key a line, `id hexadecimal`; the last is the active one.
    fn read(file: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(file).map_err(|error| StoreError::file(file, error))?;
        if metadata.mode() & 0o077 != 0 {
            let reason = format!("others can read the master keys: run `chmod 600 {}`", file.display());
            return Err(StoreError::File { path: file.to_owned(), reason });
        }
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|error| StoreError::file(file, error))?);
        let mut keys = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let key = line.split_once(' ').and_then(|(id, digits)| Some((id.to_owned(), from_hex(digits.trim())?)));
            let (id, key) = key.ok_or_else(|| not_a_key_file(file))?;
            keys.order.push(id.clone());
            keys.by_id.insert(id, key);
        }
        keys.active = keys.order.last().cloned().ok_or_else(|| not_a_key_file(file))?;
        Ok(keys)
    }

    fn add_random(&mut self) -> Result<(), StoreError> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        self.by_id.insert(id.clone(), random_key()?);
        self.order.push(id.clone());
        self.active = id;
        Ok(())
    }

    fn text(&self) -> Zeroizing<String> {
        // Room for all of it: a string that grows leaves copies of its bytes behind.
        let mut text = Zeroizing::new(String::with_capacity(self.order.len() * 128));
        for (id, key) in self.order.iter().filter_map(|id| Some((id, self.by_id.get(id)?))) {
            text.push_str(id);
            text.push(' ');
            for byte in key.iter() {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
            }
            text.push('\n');
        }
        text
    }
}

fn not_a_key_file(file: &Path) -> StoreError {
    StoreError::Corrupt {
        what: file.display().to_string(),
        remedy: "it must hold lines of `id` and 64 hexadecimal digits, the active key last; put the right file back"
            .to_owned(),
    }
}

fn from_hex(digits: &str) -> Option<KeyBytes> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    if digits.len() != 2 * KEY_LEN {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = ((digit(0)? << 4) | digit(1)?) as u8;
    }
    Some(key)
}

fn random_key() -> Result<KeyBytes, StoreError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    rand::fill(&mut key[..]).map_err(|_| StoreError::Fault("no random bytes".to_owned()))?;
    Ok(key)
}

impl Place<'_> {
    fn bytes(&self, owner: &str) -> Vec<u8> {
        bound(&["bist-value-1", owner, self.table, self.row, self.column])
    }
}

fn wrap_place(owner: &str, master_key_id: &str) -> Vec<u8> {
    bound(&["bist-data-key-1", owner, master_key_id])
}

/// Each part behind its length, so that no two lists have the same bytes.
fn bound(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes())).collect()
}

/// Format, nonce, ciphertext, tag. The nonce is random: 2^32 values under one key are allowed (NIST SP 800-38D, 8.3),
/// and an owner has a handful.
fn encrypt(key: &KeyBytes, bound_to: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
    let failed = |_| StoreError::Fault("encryption failed".to_owned());
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..]).map_err(failed)?);
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(failed)?;
    let mut sealed = Vec::with_capacity(value.len() + OVERHEAD_BYTES);
    sealed.push(FORMAT);
    sealed.extend(nonce);
    sealed.extend(value);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let body = &mut sealed[1 + NONCE_LEN..];
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(bound_to), body).map_err(failed)?;
    sealed.extend(tag.as_ref());
    Ok(sealed)
}

fn decrypt(key: &KeyBytes, bound_to: &[u8], sealed: &[u8]) -> Option<SecretSlice<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..]).ok()?);
    let (&format, rest) = sealed.split_first()?;
    let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
    if format != FORMAT {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = Zeroizing::new(body.to_vec());
    let value = key.open_in_place(nonce, Aad::from(bound_to), &mut body).ok()?;
    Some(SecretSlice::from(value.to_vec()))
}
