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
]
