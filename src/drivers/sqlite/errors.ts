/**
 * SQLite's errors in our words. Result codes: https://sqlite.org/rescode.html; the low byte is the primary code.
 */
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'

const BUSY = 5
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const TOOBIG = 18
const CONSTRAINT = 19
const NOTADB = 26
const GENERIC = 1

/** The primary result code, or undefined when the error is not SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined
}

/** Another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return sqliteCode(error) === BUSY
}

/** No room: not applied, and the connection is as good as before. */
export function isFull(error: unknown): boolean {
  return sqliteCode(error) === FULL
}

/** The fault of one statement (constraint, size, syntax), not of the connection or the file. */
export function isStatementFault(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === undefined || code === GENERIC || code === TOOBIG || code === CONSTRAINT
}

/** Any error of a statement as a `SignalboxError`; none of them was applied. */
export function translate(error: unknown, file: string): SignalboxError {
  if (error instanceof SignalboxError) return error
  const [code, what] = meaning(sqliteCode(error))
  const message = error instanceof Error ? error.message : String(error)
  return new SignalboxError(code, `${what} (${file}: ${message})`, { cause: error })
}

function meaning(code: number | undefined): [ErrorCode, string] {
  switch (code) {
    case FULL:
      return ['unavailable', 'no space left for the data file; free some, writes then go on by themselves']
    case IOERR:
      return ['unavailable', 'the disk failed under the data file']
    case CORRUPT:
    case NOTADB:
      return [
        'store_invalid',
        'the data file is damaged or is not ours; restore a backup or choose another directory',
      ]
    case READONLY:
      return ['unavailable', 'the data file cannot be written']
    case CANTOPEN:
      return ['unavailable', 'the data file cannot be opened']
    case undefined:
    case GENERIC:
    case TOOBIG:
    case CONSTRAINT:
      return ['internal', 'a statement failed']
    default:
      return ['unavailable', 'the data file cannot be used at present']
  }
}
