/**
 * What is in the data file. The schema version (`user_version`) is the number of migrations applied; a migration that
 * was ever released is never edited, new ones are appended. All tables of the file, whichever port they serve, come
 * from this one list.
 */

/** `SBOX`: marks the file as ours (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x53_42_4f_58

export const migrations: readonly string[] = [
  // 1: records; and the sequence, which gives versions and tells a finished transaction from a lost one.
  `
  CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL) STRICT;
  INSERT INTO sequence VALUES (1, 0);
  CREATE TABLE records (
    partition TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    expires_at REAL,
    PRIMARY KEY (partition, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
  `,
  // 2: message queues (messages/). A message is one row, its place in the line an entry of `messages_visible`; what would not
  // fit into a page with it lies in `message_bodies`, so that a receive does not write it again.
  `
  CREATE TABLE message_file (id INTEGER PRIMARY KEY CHECK (id = 1), salt TEXT NOT NULL) STRICT;
  INSERT INTO message_file VALUES (1, lower(hex(randomblob(6))));
  CREATE TABLE message_queues (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL,
    total INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    receipt INTEGER,
    receives INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    first_received_at INTEGER,
    received_at INTEGER,
    message_group INTEGER,
    source TEXT,
    large INTEGER,
    extra TEXT,
    body TEXT
  ) STRICT;
  CREATE INDEX messages_visible ON messages (queue, visible_at, leased);
  CREATE INDEX messages_sent ON messages (queue);
  CREATE INDEX messages_grouped ON messages (message_group) WHERE message_group IS NOT NULL;
  CREATE INDEX messages_locking ON messages (message_group, visible_at)
    WHERE message_group IS NOT NULL AND leased = 1;
  CREATE TABLE message_bodies (id INTEGER PRIMARY KEY, extra TEXT, body TEXT NOT NULL) STRICT;
  CREATE TABLE message_groups (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    name TEXT NOT NULL,
    available_at INTEGER NOT NULL,
    UNIQUE (queue, name)
  ) STRICT;
  CREATE INDEX message_groups_available ON message_groups (queue, available_at);
  CREATE TABLE message_deduplication (
    queue INTEGER NOT NULL,
    id TEXT NOT NULL,
    message INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX message_deduplication_ending ON message_deduplication (until);
  `,
]
