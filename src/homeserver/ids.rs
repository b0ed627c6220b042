//! Names and numbers: every room, user, event and state key has a short number inside, given once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::{Batch, Error as StorageError, Key, Keyspace, Snapshot, Store, Value};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::meters::Held;
use crate::schema::ids::{
    CEILINGS, EVENT_NUMS, Numbered, ROOM_NUMS, STATE_KEY_NUMS, STATE_KEYS, StateKeyName, TYPE_NUMS, TYPES, USER_IDS,
    USER_NUMS,
};
use crate::schema::{DeviceNum, Digest, EventNum, RoomNum, StateKeyNum, TypeNum, UserNum};

/// How many numbers are reserved on disk at a time; what is left of them at a stop is never used.
const BLOCK: u64 = 4096;

/// Gives numbers of one sort from a block reserved on disk.
#[derive(Debug)]
struct Counter {
    kind: Numbered,
    next: AtomicU64,
    ceiling: AtomicU64,
    reserving: Mutex<()>,
}

impl Counter {
    async fn open(kind: Numbered, snapshot: &Snapshot) -> Result<Self> {
        let ceiling = snapshot.get(&CEILINGS, &kind).await?.unwrap_or(1);
        Ok(Self { kind, next: AtomicU64::new(ceiling), ceiling: AtomicU64::new(ceiling), reserving: Mutex::new(()) })
    }

    async fn take(&self, store: &Store, count: u64) -> Result<u64> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let end = first + count;
        while end > self.ceiling.load(Ordering::Acquire) {
            let _one_at_a_time = self.reserving.lock().await;
            let ceiling = self.ceiling.load(Ordering::Acquire);
            if end > ceiling {
                let raised = end.max(ceiling) + BLOCK;
                let mut batch = Batch::new();
                batch.put(&CEILINGS, &self.kind, &raised);
                store.commit(batch).await?;
                self.ceiling.store(raised, Ordering::Release);
            }
        }
        Ok(first)
    }
}

/// A state key to look for, borrowed: it hashes as the tuple that owns its text.
#[derive(Debug, Hash)]
struct StateKeyRef<'a>(TypeNum, &'a str);

impl Equivalent<(TypeNum, String)> for StateKeyRef<'_> {
    fn equivalent(&self, (kind, key): &(TypeNum, String)) -> bool {
        self.0 == *kind && self.1 == key
    }
}

/// The numbers of names, with the most used of them in memory. They never change, so no cache is ever stale.
#[derive(Debug)]
pub struct Ids {
    store: Arc<Store>,
    rooms: Counter,
    users: Counter,
    events: Counter,
    state_keys: Counter,
    types: Counter,
    devices: Counter,
    room_nums: Cache<String, RoomNum>,
    user_nums: Cache<String, UserNum>,
    user_names: Cache<UserNum, OwnedUserId>,
    type_nums: Cache<String, TypeNum>,
    type_names: Cache<TypeNum, Arc<str>>,
    state_key_nums: Cache<(TypeNum, String), StateKeyNum>,
    state_key_names: Cache<StateKeyNum, Arc<StateKeyName>>,
}

impl Ids {
    /// Reads where the numbers have come to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Arc<Store>) -> Result<Self> {
        let snapshot = store.snapshot();
        Ok(Self {
            rooms: Counter::open(Numbered::Room, &snapshot).await?,
            users: Counter::open(Numbered::User, &snapshot).await?,
            events: Counter::open(Numbered::Event, &snapshot).await?,
            state_keys: Counter::open(Numbered::StateKey, &snapshot).await?,
            types: Counter::open(Numbered::Type, &snapshot).await?,
            devices: Counter::open(Numbered::Device, &snapshot).await?,
            store,
            room_nums: Cache::new(20_000),
            user_nums: Cache::new(50_000),
            user_names: Cache::new(50_000),
            type_nums: Cache::new(1_000),
            type_names: Cache::new(1_000),
            state_key_nums: Cache::new(100_000),
            state_key_names: Cache::new(100_000),
        })
    }

    /// The caches of names and numbers.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![
            Held::of("room_numbers", &self.room_nums),
            Held::of("user_numbers", &self.user_nums),
            Held::of("user_names", &self.user_names),
            Held::of("type_numbers", &self.type_nums),
            Held::of("type_names", &self.type_names),
            Held::of("state_key_numbers", &self.state_key_nums),
            Held::of("state_key_names", &self.state_key_names),
        ]
    }

    /// A number for a room that is being made.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn new_room(&self) -> Result<RoomNum> {
        self.rooms.take(&self.store, 1).await.map(RoomNum)
    }

    /// Numbers for `count` events: the first of them; the others follow.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn new_events(&self, count: u64) -> Result<EventNum> {
        self.events.take(&self.store, count).await.map(EventNum)
    }

    /// A number for a device that is being made.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn new_device(&self) -> Result<DeviceNum> {
        self.devices.take(&self.store, 1).await.map(DeviceNum)
    }

    /// A room's number, if the room is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn room(&self, snapshot: &Snapshot, id: &str) -> Result<Option<RoomNum>> {
        if let Some(num) = self.room_nums.get(id) {
            return Ok(Some(num));
        }
        let num = snapshot.get(&ROOM_NUMS, &id.to_owned()).await?;
        if let Some(num) = num {
            self.room_nums.insert(id.to_owned(), num);
        }
        Ok(num)
    }

    /// A user's number, if the user is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find_user(&self, id: &UserId) -> Result<Option<UserNum>> {
        if let Some(num) = self.user_nums.get(id.as_str()) {
            return Ok(Some(num));
        }
        let num = self.store.snapshot().get(&USER_NUMS, &id.as_str().to_owned()).await?;
        if let Some(num) = num {
            self.user_nums.insert(id.as_str().to_owned(), num);
        }
        Ok(num)
    }

    /// A user's number, given now if they have none.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn user(&self, id: &UserId) -> Result<UserNum> {
        if let Some(num) = self.find_user(id).await? {
            return Ok(num);
        }
        let num = UserNum(self.users.take(&self.store, 1).await?);
        let name = id.as_str().to_owned();
        let mut batch = Batch::new();
        batch.put(&USER_IDS, &num, &name);
        let num = self.intern(batch, &USER_NUMS, &name, num).await?;
        self.user_nums.insert(name, num);
        Ok(num)
    }

    /// A user's id.
    ///
    /// # Errors
    /// The store cannot be read, or nobody has the number.
    pub async fn user_id(&self, num: UserNum) -> Result<OwnedUserId> {
        if let Some(id) = self.user_names.get(&num) {
            return Ok(id);
        }
        let id = self.store.snapshot().get(&USER_IDS, &num).await?;
        let id = id.ok_or_else(|| Error::internal(format!("no user has number {num}")))?;
        let id = UserId::parse(&id).map_err(Error::internal)?;
        self.user_names.insert(num, id.clone());
        Ok(id)
    }

    /// The number of an event by its id's digest, if the event is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn event(&self, snapshot: &Snapshot, digest: &Digest) -> Result<Option<EventNum>> {
        Ok(snapshot.get(&EVENT_NUMS, digest).await?)
    }

    /// The number of a type, given now if it has none.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn kind(&self, name: &str) -> Result<TypeNum> {
        if let Some(num) = self.find_kind(name).await? {
            return Ok(num);
        }
        let name = name.to_owned();
        let num = TypeNum(self.types.take(&self.store, 1).await?);
        let mut batch = Batch::new();
        batch.put(&TYPES, &num, &name);
        let num = self.intern(batch, &TYPE_NUMS, &name, num).await?;
        self.type_nums.insert(name, num);
        Ok(num)
    }

    async fn find_kind(&self, name: &str) -> Result<Option<TypeNum>> {
        if let Some(num) = self.type_nums.get(name) {
            return Ok(Some(num));
        }
        let num = self.store.snapshot().get(&TYPE_NUMS, &name.to_owned()).await?;
        if let Some(num) = num {
            self.type_nums.insert(name.to_owned(), num);
        }
        Ok(num)
    }

    /// The name of a type.
    ///
    /// # Errors
    /// The store cannot be read, or no type has the number.
    pub async fn kind_name(&self, num: TypeNum) -> Result<Arc<str>> {
        if let Some(name) = self.type_names.get(&num) {
            return Ok(name);
        }
        let name = self.store.snapshot().get(&TYPES, &num).await?;
        let name: Arc<str> = name.ok_or_else(|| Error::internal(format!("no type has number {num}")))?.into();
        self.type_names.insert(num, Arc::clone(&name));
        Ok(name)
    }

    /// The number of a state key, if any room ever had it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find_state_key(&self, kind: &str, key: &str) -> Result<Option<StateKeyNum>> {
        let Some(kind) = self.find_kind(kind).await? else { return Ok(None) };
        self.find_state_key_of(kind, key).await
    }

    async fn find_state_key_of(&self, kind: TypeNum, key: &str) -> Result<Option<StateKeyNum>> {
        if let Some(num) = self.state_key_nums.get(&StateKeyRef(kind, key)) {
            return Ok(Some(num));
        }
        let name = (kind, key.to_owned());
        let num = self.store.snapshot().get(&STATE_KEY_NUMS, &name).await?;
        if let Some(num) = num {
            self.state_key_nums.insert(name, num);
        }
        Ok(num)
    }

    /// The number of a state key, given now if it has none.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn state_key(&self, kind: &str, key: &str) -> Result<StateKeyNum> {
        let kind = self.kind(kind).await?;
        if let Some(num) = self.find_state_key_of(kind, key).await? {
            return Ok(num);
        }
        let num = StateKeyNum(self.state_keys.take(&self.store, 1).await?);
        let mut batch = Batch::new();
        batch.put(&STATE_KEYS, &num, &StateKeyName { kind, key: key.to_owned() });
        let name = (kind, key.to_owned());
        let num = self.intern(batch, &STATE_KEY_NUMS, &name, num).await?;
        self.state_key_nums.insert(name, num);
        Ok(num)
    }

    /// A state key spelled out: its type's number and the key.
    ///
    /// # Errors
    /// The store cannot be read, or no state key has the number.
    pub async fn state_key_name(&self, num: StateKeyNum) -> Result<Arc<StateKeyName>> {
        if let Some(name) = self.state_key_names.get(&num) {
            return Ok(name);
        }
        let name = self.store.snapshot().get(&STATE_KEYS, &num).await?;
        let name = Arc::new(name.ok_or_else(|| Error::internal(format!("no state key has number {num}")))?);
        self.state_key_names.insert(num, Arc::clone(&name));
        Ok(name)
    }

    /// Gives `name` the number `num`, unless somebody was faster: then that number is the answer.
    async fn intern<K: Key, V: Value + Copy>(
        &self,
        mut batch: Batch,
        space: &Keyspace<K, V>,
        name: &K,
        num: V,
    ) -> Result<V> {
        batch.expect_absent(space, name);
        batch.put(space, name, &num);
        match self.store.commit(batch).await {
            Ok(_) => Ok(num),
            Err(StorageError::Conflict) => {
                let given = self.store.snapshot().get(space, name).await?;
                given.ok_or_else(|| Error::internal(format!("a name in {} vanished", space.name())))
            }
            Err(error) => Err(error.into()),
        }
    }
}
