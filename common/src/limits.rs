//! Every bound of the product, in one place, with the relations that must hold between them.
//!
//! A limit says what it bounds and in which unit (`_bytes` is `u64` or `usize`, `_ms`, `_s`, `_count`). Nothing here is read
//! from a configuration; a setting may only lower a limit.
//!
//! Invariant: I9 — a queue, batch, message, retry or cache without a bound in this file is a defect.

/// Largest plaintext of one frame, in bytes.
pub const FRAME_PLAIN_BYTES_MAX: usize = 4 << 20;
/// Most that sealing adds to a plaintext (tag included), in bytes.
pub const FRAME_SEAL_OVERHEAD_BYTES_MAX: usize = 64;
/// Largest ciphertext with its tag, in bytes.
pub const FRAME_SEALED_BYTES_MAX: usize = FRAME_PLAIN_BYTES_MAX + FRAME_SEAL_OVERHEAD_BYTES_MAX;
/// Most children of one node.
pub const NODE_CHILDREN_MAX: usize = 8_192;
/// Largest node: children and plaintext together, in bytes.
pub const NODE_BYTES_MAX: usize = 512 << 10;
/// Most items (entries, branch children, extents) of one node.
pub const NODE_ITEMS_MAX: usize = 8_192;
/// Plaintext bytes from which a leaf or branch may end.
pub const NODE_PLAIN_BYTES_MIN: usize = 2 << 10;
/// Plaintext bytes, above the minimum, around which leaves and branches end: small, because one changed file writes a leaf.
pub const NODE_PLAIN_BYTES_TARGET: usize = 6 << 10;
/// Plaintext bytes at which a leaf or branch is forced to end.
pub const NODE_PLAIN_BYTES_MAX: usize = 256 << 10;
/// Fewest children of a branch that ends before it is full, so that levels shrink even when keys are long.
pub const BRANCH_ITEMS_MIN: usize = 4;
/// Plaintext bytes from which an extents node may end.
pub const EXTENTS_PLAIN_BYTES_MIN: usize = 8 << 10;
/// Plaintext bytes, above the minimum, around which extents nodes end.
pub const EXTENTS_PLAIN_BYTES_TARGET: usize = 16 << 10;
/// Plaintext bytes at which an extents node is forced to end.
pub const EXTENTS_PLAIN_BYTES_MAX: usize = 64 << 10;
/// Most extents that an entry holds itself; more go into extents nodes.
pub const ENTRY_EXTENTS_MAX: usize = 64;
/// Most layers of extents nodes that one file's content is made of.
pub const CONTENT_LAYERS_MAX: usize = 16;
/// Largest encoded extended attributes that an entry holds itself; larger ones are laid in data chunks.
pub const XATTRS_INLINE_BYTES_MAX: usize = 8 << 10;
/// Largest encoded extended attributes of one entry, in bytes.
pub const XATTRS_BYTES_MAX: usize = 16 << 20;
/// Longest user or group name, in bytes.
pub const OWNER_NAME_BYTES_MAX: usize = 256;
/// Largest encoded entry, in bytes.
pub const ENTRY_BYTES_MAX: usize = 64 << 10;
/// Deepest snapshot tree, in levels.
pub const TREE_LEVELS_MAX: usize = 16;
/// Longest path inside a snapshot, in bytes.
pub const PATH_BYTES_MAX: usize = 32 << 10;
/// Longest file name, in bytes.
pub const NAME_BYTES_MAX: usize = 4 << 10;

/// A file below this size is laid in the solid stream, in bytes.
pub const SMALL_FILE_BYTES: u64 = 256 << 10;
/// A file of this size or more is read by a second thread too, in bytes.
pub const READ_AHEAD_BYTES_MIN: u64 = 8 << 20;
/// A file over this size has page hashes, in bytes.
pub const PAGED_FILE_BYTES: u64 = 1 << 20;
/// Unit of comparison inside a large file, in bytes.
pub const PAGE_BYTES: usize = 4 << 10;
/// Unit of reading, and of the page-exact increment's decision, in bytes.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Changed pages of a file that wait to be laid together, in bytes.
pub const WAITING_PAGES_BYTES: usize = 2 << 20;
/// Most chunks whose lengths are kept with the page hashes of one file.
pub const PAGED_CHUNKS_MAX: usize = 16 << 20;

/// Size at which an open pack is finished, in bytes.
pub const PACK_TARGET_BYTES: u64 = 32 << 20;
/// Largest pack that a reader accepts, in bytes.
pub const PACK_BYTES_MAX: u64 = 64 << 20;
/// Most frames in one pack.
pub const PACK_FRAMES_MAX: usize = 65_536;
/// Most sessions in one pack (compaction merges packs).
pub const PACK_SESSIONS_MAX: usize = 4_096;
/// Longest session envelope, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 4 << 10;
/// Largest sealed part of a snapshot object, in bytes.
pub const SNAPSHOT_SEALED_BYTES_MAX: usize = 4 << 20;
/// Largest small record (agent part, tombstone, fact), in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 10;
/// Largest identity file of an agent, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 64 << 10;
/// Largest configuration file of an agent, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Largest file, answer of a command or descriptor that gives a secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4 << 10;
/// Largest keyring generation, in bytes.
pub const KEYRING_BYTES_MAX: usize = 64 << 10;
/// Most recipients of a keyring generation.
pub const KEYRING_RECIPIENTS_MAX: usize = 16;
/// Most holders of a keyring generation.
pub const KEYRING_HOLDERS_MAX: usize = 16;
/// Most generations of a keyring.
pub const KEYRING_GENERATIONS_MAX: usize = 256;
/// Most reading identities that a holder's file lists.
pub const KEYRING_IDENTITIES_MAX: usize = 64;
/// Longest label of a holder, in bytes.
pub const HOLDER_LABEL_BYTES_MAX: usize = 256;
/// Largest age file of a holder, in bytes.
pub const HOLDER_FILE_BYTES_MAX: usize = 16 << 10;
/// scrypt work factor of a passphrase, as the binary logarithm of N (128 MiB).
pub const PASSPHRASE_LOG_N: u8 = 17;
/// scrypt work factor of a recovery key, which is random already, as the binary logarithm of N.
pub const RECOVERY_LOG_N: u8 = 10;
/// Largest scrypt work factor that a reader accepts, as the binary logarithm of N (256 MiB).
pub const SCRYPT_LOG_N_MAX: u8 = 18;
/// Shortest passphrase that a person may choose, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// Most ids in one probe or answer.
pub const IDS_PER_MESSAGE_MAX: usize = 4_096;
/// Size around which the agent ends a Put message, in bytes.
pub const MESSAGE_TARGET_BYTES: usize = 1 << 20;
/// Largest message on Transfer and Fetch, in bytes.
pub const STREAM_MESSAGE_BYTES_MAX: usize = (4 << 20) + (64 << 10);
/// Largest message of any other call, in bytes.
pub const UNARY_MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Largest message of calls that carry next to nothing, in bytes.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Most bytes accepted before the server makes a session's frames durable and says so.
pub const DURABLE_EVERY_BYTES: u64 = 8 << 20;
/// Longest time before the server makes a session's frames durable and says so, in milliseconds.
pub const DURABLE_EVERY_MS: u64 = 2_000;
/// Frames sent and not yet durable that an agent keeps for sending again, in bytes.
pub const UNACKNOWLEDGED_BYTES_MAX: u64 = 32 << 20;
/// Largest table or index of the agent's memory that is read, in bytes (24 bytes per entry).
pub const MEMORY_FILE_BYTES_MAX: usize = 4 << 30;
/// Threads that an agent seals on.
pub const WORKERS_MAX: usize = 8;
/// Tree nodes that an agent without a memory asks for at once.
pub const FETCH_NODES_AT_ONCE: usize = 256;
/// Most `valid except` ids in the answer to Open.
pub const RELAY_IDS_MAX: usize = 65_536;

/// Concurrent streams of one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;
/// Requests at once of one connection; more are shed.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 32;
/// Deadline of a unary call, in milliseconds.
pub const UNARY_DEADLINE_MS: u64 = 30_000;
/// Deadline of Commit, in milliseconds.
pub const COMMIT_DEADLINE_MS: u64 = 600_000;
/// A stream without a message for this long is ended, in milliseconds.
pub const STREAM_IDLE_MS: u64 = 120_000;
/// Age at which the server asks a connection to end, in milliseconds.
pub const CONNECTION_AGE_MS: u64 = 1_800_000;
/// Time that it has after that, in milliseconds.
pub const CONNECTION_GRACE_MS: u64 = 600_000;
/// HTTP/2 keep-alive: interval, in milliseconds.
pub const KEEP_ALIVE_INTERVAL_MS: u64 = 30_000;
/// HTTP/2 keep-alive: time limit of the answer, in milliseconds.
pub const KEEP_ALIVE_TIMEOUT_MS: u64 = 10_000;
/// Time limit of a TCP connection attempt of an agent, in milliseconds.
pub const CONNECT_MS: u64 = 10_000;
/// Time limit of a TLS handshake, in milliseconds.
pub const HANDSHAKE_MS: u64 = 5_000;
/// TLS handshakes at once.
pub const HANDSHAKES_MAX: usize = 50;
/// Largest request headers, in bytes.
pub const HEADER_BYTES_MAX: u32 = 8 << 10;
/// Age at which a connection ends of which no call was authenticated, in milliseconds. A person who types a password has that long.
pub const STRANGER_MS: u64 = 600_000;
/// Connections of one address before any call was authenticated.
pub const CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX: usize = 32;
/// Connections of one address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Pause between two looks at the age of the server's certificate, in milliseconds.
pub const RENEWAL_CHECK_MS: u64 = 3_600_000;
/// Time that open calls have to end when the server stops, in milliseconds.
pub const STOP_GRACE_MS: u64 = 10_000;
/// Pause after an error of accept, such as too many open files, in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// HTTP/2 streams that a peer may reset before they are accepted.
pub const PENDING_RESETS_MAX: usize = 20;
/// HTTP/2 streams that the server may reset for a peer's errors.
pub const LOCAL_RESETS_MAX: usize = 64;
/// Connections in all.
pub const CONNECTIONS_MAX: usize = 4_000;
/// HTTP/2 receive window of the server, per stream and per connection, in bytes.
pub const SERVER_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 receive window of a restoring client, per stream, in bytes.
pub const CLIENT_STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// HTTP/2 receive window of a restoring client, per connection, in bytes.
pub const CLIENT_CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// HTTP/2 frame size, in bytes.
pub const HTTP2_FRAME_BYTES: u32 = 256 << 10;
/// Open sessions of one subscription.
pub const SESSIONS_PER_SUBSCRIPTION_MAX: usize = 64;
/// Snapshots of one source in a civil day: one every five minutes. Their sealed parts count nowhere else.
pub const SNAPSHOTS_PER_DAY_MAX: u32 = 288;
/// Answers to Fetch of one subscription that are on their way at once; further calls wait.
pub const FETCHES_PER_SUBSCRIPTION: usize = 12;
/// Streams at once of one subscription.
pub const STREAMS_PER_SUBSCRIPTION_MAX: usize = 128;
/// Requests per second of one subscription (token bucket, burst of twice as much).
pub const REQUESTS_PER_SECOND_MAX: u32 = 500;
/// A session left alone for this long expires, in seconds.
pub const SESSION_EXPIRY_S: i64 = 86_400;
/// Pause between two looks at the room that is left for the ballast of the server's disk, in milliseconds.
pub const BALLAST_CHECK_MS: u64 = 2_000;
/// Pause between two searches for sessions left alone, in milliseconds.
pub const SESSION_CHECK_MS: u64 = 600_000;
/// Pause between two searches for upkeep jobs that are due, in milliseconds.
pub const UPKEEP_CHECK_MS: u64 = 60_000;
/// Time that garbage stays in trash, in seconds.
pub const TRASH_GRACE_S: i64 = 7 * 86_400;
/// Time that an empty pack stays, in seconds: who planned to read from it still does.
pub const EMPTIED_PACK_S: i64 = 3_600;
/// Largest tombstone, in bytes.
pub const TOMBSTONE_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;
/// Memory that the search for garbage may take unless a setting says otherwise, in bytes: 500 million chunks and more.
pub const MARK_MEMORY_BYTES: u64 = 256 << 20;
/// Most frames that compaction moves into one pack: one transaction of the writer.
pub const COMPACT_FRAMES_MAX: usize = 16_384;
/// Upkeep jobs at once, of different subscriptions.
pub const UPKEEP_JOBS_MAX: usize = 2;
/// Shortest bound of a data chunk where a day allows little change, in bytes.
pub const TIGHT_CHUNK_BYTES_MIN: usize = 4 << 10;
/// Longest schedule of a backup set, in bytes.
pub const SCHEDULE_BYTES_MAX: usize = 1_024;
/// Most times of day that a schedule names.
pub const SCHEDULE_TIMES_MAX: usize = 168;
/// Widest spread of agents after a scheduled moment, in seconds; never more than a quarter of the way to the next moment.
pub const SCHEDULE_SPREAD_S_MAX: i64 = 1_800;
/// Widest spread of agents that catch up after their start, in seconds.
pub const CATCH_UP_SPREAD_S: i64 = 600;
/// First pause after a failed run, in seconds; it doubles.
pub const RUN_RETRY_S_MIN: i64 = 300;
/// Longest pause after a failed run, in seconds.
pub const RUN_RETRY_S_MAX: i64 = 7_200;
/// Pause after a run that found another one at work, in seconds.
pub const RUN_BUSY_S: i64 = 600;
/// Pause before a server that said nothing more of its maintenance is asked again, in seconds.
pub const MAINTENANCE_ASK_S: i64 = 900;
/// Longest pause before a server under maintenance is asked again, in seconds.
pub const MAINTENANCE_ASK_S_MAX: i64 = 21_600;
/// Longest announced maintenance, in days: agents wait for its end, and lateness stands still.
pub const MAINTENANCE_DAYS_MAX: i64 = 31;
/// How long beforehand maintenance may be announced, in days.
pub const MAINTENANCE_AHEAD_DAYS_MAX: i64 = 366;
/// Pause before a suspended subscription is asked about again, in seconds.
pub const SUSPENDED_ASK_S: i64 = 1_800;
/// Pause between two looks at the backup sets of an agent, in seconds.
pub const SETS_REFRESH_S: i64 = 900;
/// Longest sleep of a service before it looks at the clock again, in seconds: a machine may have slept meanwhile.
pub const CLOCK_LOOK_S: i64 = 30;
/// Most directories that a change journal watches; an idle watch costs about a kilobyte of kernel memory, and as much in the agent.
pub const JOURNAL_FOLDERS_MAX: usize = 262_144;
/// A change journal takes one part in so many of the watches that the system allows a user: other programs need some.
pub const JOURNAL_WATCHES_SHARE: usize = 2;
/// One run in so many walks everything although a change journal says what changed: what the journal cannot hear of (mapped files,
/// names outside of the set) is then at most seven runs old.
pub const JOURNAL_FULL_EVERY: u32 = 8;
/// So does the first run after this time since the last full walk, in seconds: no restore point of another day rests on a hint alone.
pub const JOURNAL_FULL_S: i64 = 86_400;
/// Longest wait for what the watcher of a change journal has not told yet, in milliseconds; after that it is not believed.
pub const JOURNAL_FENCE_MS: u64 = 10_000;
/// Times that an agent lays missing chunks again before it reads everything.
pub const MISSING_ROUNDS_MAX: usize = 2;

/// Life of a person's login token since its last use, in seconds.
pub const LOGIN_TOKEN_S: i64 = 900;
/// Life of a default password, in seconds.
pub const DEFAULT_PASSWORD_S: i64 = 30 * 86_400;
/// Longest life of an enrolment token, in seconds.
pub const ENROLMENT_TOKEN_S: i64 = 86_400;
/// Length of a generated default password, in characters.
pub const DEFAULT_PASSWORD_CHARS: usize = 20;
/// Shortest password that a person may choose, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password that is hashed, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Password hashes computed at once (19 MiB each).
pub const PASSWORD_HASHES_MAX: usize = 8;
/// Callers that may wait for a password hash; more are told to come back.
pub const PASSWORD_WAITERS_MAX: usize = 64;
/// Accounts and networks whose failed logins are remembered.
pub const LOGIN_ATTEMPTS_KEPT_MAX: usize = 65_536;
/// Failed logins without a delay, per account and network.
pub const LOGIN_FREE_FAILURES: u32 = 5;
/// Longest delay after failed logins, in seconds.
pub const LOGIN_DELAY_S_MAX: i64 = 900;

/// First delay of a retry, in milliseconds.
pub const RETRY_MS_MIN: u64 = 250;
/// Longest delay of a retry, in milliseconds.
pub const RETRY_MS_MAX: u64 = 60_000;
/// Attempts of one call before a person is told, the first one included.
pub const RETRY_ATTEMPTS_MAX: u32 = 8;

/// Fetch requests of a restore under way at once.
pub const FETCHES_IN_FLIGHT: usize = 4;
/// Ids in one fetch request of a restore.
pub const FETCH_IDS: usize = 256;
/// Frames that wait between the connection and the threads that open them.
pub const FETCH_QUEUE_FRAMES: usize = 32;
/// Snapshots that a reader lists at once.
pub const SNAPSHOTS_LISTED_MAX: usize = 100_000;
/// Sessions whose keys a reader keeps open.
pub const READER_SESSIONS_MAX: usize = 65_536;
/// Node plaintexts that a reader keeps, in bytes.
pub const NODE_CACHE_BYTES: usize = 16 << 20;
/// Nodes fetched ahead of a walk at once.
pub const NODE_PREFETCH_IDS: usize = 64;
/// Files of the first window of a restore: small, so that writing begins early.
pub const RESTORE_FIRST_WINDOW_FILES: usize = 4_096;
/// Files of one window of a restore.
pub const RESTORE_WINDOW_FILES: usize = 131_072;
/// Pieces of files of one window of a restore: within a window, each chunk is fetched once.
pub const RESTORE_WINDOW_PIECES: usize = 262_144;
/// Files that a restore keeps open between two pieces; others are opened again.
pub const RESTORE_OPEN_FILES: usize = 128;
/// Directory handles that each thread of a restore keeps.
pub const RESTORE_OPEN_DIRECTORIES: usize = 64;
/// Bytes of holes of one file that are hashed to check its digest; beyond, only its chunks are checked.
pub const HOLE_HASHED_BYTES_MAX: u64 = 64 << 30;
/// Items with a problem that are listed by name; more are counted.
pub const LISTED_ITEMS_MAX: usize = 10_000;
/// Bytes of small files in several chunks that a verification holds at once; more are read in order later.
pub const VERIFY_BUFFER_BYTES: usize = 64 << 20;
/// Plain bytes that `dump` holds at once.
pub const DUMP_WINDOW_BYTES: u64 = 32 << 20;

/// Bytes that a restore writes between two early syncs of its target.
pub const RESTORE_FLUSH_BYTES: u64 = 256 << 20;
/// Rows of the audit trail, or notices, in one answer.
pub const AUDIT_ROWS_MAX: u32 = 1_000;
/// Longest data of a reply to an option of NBD, in bytes.
pub const NBD_OPTION_BYTES_MAX: usize = 64 << 10;
/// Most replies to one option of NBD.
pub const NBD_OPTION_REPLIES_MAX: usize = 64;
/// Most bytes of a disk that one command of NBD reads.
pub const NBD_READ_BYTES_MAX: usize = 4 << 20;
/// Longest chunk of a reply of NBD, in bytes.
pub const NBD_CHUNK_BYTES_MAX: usize = NBD_READ_BYTES_MAX + 64;
/// Most bytes of a disk of which one command of NBD asks what they are.
pub const NBD_STATUS_BYTES: u64 = 1 << 30;
/// Most ranges in one answer to that.
pub const NBD_EXTENTS_PER_CHUNK_MAX: usize = NBD_CHUNK_BYTES_MAX / 8;
/// Longest words of an NBD server that are kept, in bytes.
pub const NBD_TEXT_BYTES_MAX: usize = 512;
/// Time that an NBD server may take for an answer, in milliseconds.
pub const NBD_IDLE_MS: u64 = 120_000;
/// Most ranges of a disk's map; of a longer one no hole is known, and no change map is trusted.
pub const DISK_EXTENTS_MAX: usize = 4 << 20;
/// Images of one source that are read as disks; more are read as files.
pub const DISK_IMAGES_MAX: usize = 10_000;
/// Largest virtual size of an image that is read as a disk, in bytes.
pub const DISK_BYTES_MAX: u64 = 1 << 46;
/// Windows of a disk that its change map calls unchanged and that are read all the same, to check the map.
pub const DISK_SAMPLES: u64 = 64;
/// Longest answer of a tool that describes an image, in bytes.
pub const TOOL_ANSWER_BYTES_MAX: usize = 4 << 20;
/// Longest complaint of a tool that is kept, in bytes.
pub const TOOL_COMPLAINT_BYTES_MAX: usize = 2 << 10;
/// Time that a tool may take to describe an image or to begin to serve it, in milliseconds.
pub const TOOL_MS: u64 = 120_000;
/// Time that a tool has to end by itself once it is not needed any more, in milliseconds.
pub const TOOL_END_MS: u64 = 10_000;
/// Pause between two looks at a tool that converts a disk image, in milliseconds.
pub const TOOL_LOOK_MS: u64 = 200;
/// Longest description of an image that a snapshot holds, in bytes.
pub const DISK_LABEL_BYTES_MAX: usize = 4 << 10;

/// Share of the disk, in per cent, kept free for the catalog, upkeep and audit.
pub const RESERVE_PERCENT: u64 = 2;
/// Smallest reserve, in bytes.
pub const RESERVE_BYTES_MIN: u64 = 1 << 30;

/// Time limit of one delivery of alarms through a channel, in milliseconds.
pub const ALARM_DELIVERY_MS: u64 = 20_000;
/// Pause between two deliveries of a channel, in milliseconds.
pub const ALARM_DELIVERY_EVERY_MS: u64 = 5_000;
/// Time between two copies of the control store, in milliseconds.
pub const CONTROL_COPY_EVERY_MS: i64 = 300_000;
/// Copies of the control store that are kept whatever their age.
pub const CONTROL_COPIES_NEWEST: usize = 24;
/// Days of which the last copy of the control store is kept.
pub const CONTROL_COPIES_DAYS: usize = 31;
/// Pause between two looks of the monitor, in milliseconds.
pub const LOOK_MS: u64 = 60_000;
/// Mails to one address at once; more notices become one digest.
pub const ALARM_MAILS_MAX: usize = 4;
/// Notices in one delivery.
pub const ALARM_NOTICES_MAX: usize = 100;
/// Notices that wait for delivery, in all; the oldest go beyond that.
pub const ALARM_QUEUE_MAX: usize = 10_000;
/// Operators' mail addresses.
pub const ALARM_OPERATORS_MAX: usize = 32;
/// Longest file of an alarm channel's secret, in bytes.
pub const ALARM_SECRET_BYTES_MAX: usize = 4 << 10;
/// Longest cause of a failed delivery that is kept, in bytes.
pub const ALARM_ERROR_BYTES_MAX: usize = 500;

// Relations that the formats and the protocol rely on.
const _: () = assert!(NODE_BYTES_MAX <= FRAME_PLAIN_BYTES_MAX);
const _: () = assert!(NODE_CHILDREN_MAX * 32 + NODE_PLAIN_BYTES_MAX <= NODE_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX + NODE_PLAIN_BYTES_MIN < NODE_PLAIN_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX + PATH_BYTES_MAX + 64 < NODE_PLAIN_BYTES_MAX);
const _: () = assert!(BRANCH_ITEMS_MIN * (PATH_BYTES_MAX + 64) < NODE_PLAIN_BYTES_MAX);
const _: () = assert!(XATTRS_INLINE_BYTES_MAX + PATH_BYTES_MAX + ENTRY_EXTENTS_MAX * 30 + 1_024 < ENTRY_BYTES_MAX);
const _: () = assert!(EXTENTS_PLAIN_BYTES_MAX <= NODE_PLAIN_BYTES_MAX);
const _: () = assert!(IDS_PER_MESSAGE_MAX * 32 < UNARY_MESSAGE_BYTES_MAX);
const _: () = assert!(FRAME_SEALED_BYTES_MAX + 1_024 <= STREAM_MESSAGE_BYTES_MAX);
const _: () = assert!(NODE_BYTES_MAX + 1_024 <= STREAM_MESSAGE_BYTES_MAX);
const _: () = assert!(PACK_TARGET_BYTES + (STREAM_MESSAGE_BYTES_MAX as u64) < PACK_BYTES_MAX);
const _: () = assert!(WINDOW_BYTES.is_multiple_of(PAGE_BYTES) && PAGED_FILE_BYTES >= WINDOW_BYTES as u64);
const _: () = assert!(WINDOW_BYTES <= NBD_READ_BYTES_MAX && DISK_LABEL_BYTES_MAX < XATTRS_INLINE_BYTES_MAX);
const _: () = assert!(DURABLE_EVERY_BYTES < UNACKNOWLEDGED_BYTES_MAX);
const _: () = assert!(RETRY_MS_MIN < RETRY_MS_MAX);
const _: () = assert!(RUN_RETRY_S_MIN < RUN_RETRY_S_MAX && MAINTENANCE_ASK_S < MAINTENANCE_ASK_S_MAX);
const _: () = assert!(CLOCK_LOOK_S < SETS_REFRESH_S && CLOCK_LOOK_S < RUN_RETRY_S_MIN);
const _: () = assert!(FETCH_IDS <= IDS_PER_MESSAGE_MAX && NODE_PREFETCH_IDS <= IDS_PER_MESSAGE_MAX);
const _: () = assert!(NODE_BYTES_MAX < NODE_CACHE_BYTES);
const _: () =
    assert!(FETCHES_IN_FLIGHT * CLIENT_STREAM_WINDOW_BYTES as usize <= CLIENT_CONNECTION_WINDOW_BYTES as usize);
const _: () = assert!(PASSPHRASE_LOG_N <= SCRYPT_LOG_N_MAX && SCRYPT_LOG_N_MAX < 64);
const _: () = assert!(KEYRING_IDENTITIES_MAX * 96 <= HOLDER_FILE_BYTES_MAX);
