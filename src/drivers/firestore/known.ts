/**
 * The versions this process last saw of documents, so that a put that only expects its record to be *present* (a beat) can
 * be one request: it expects the very version we know, and whether that expires a version says itself.
 *
 * Invariant: only ever a guess. A commit that relied on a stale entry fails its precondition and is judged anew.
 */
import type { Version } from '../../ports/store.ts'

const MAX_ENTRIES = 10_000

export class KnownVersions {
  readonly #versions = new Map<string, Version>()

  get(name: string): Version | undefined {
    return this.#versions.get(name)
  }

  set(name: string, version: Version): void {
    // Taken out first, so that the map's order is the order of use.
    this.#versions.delete(name)
    this.#versions.set(name, version)
    if (this.#versions.size <= MAX_ENTRIES) return
    for (const oldest of this.#versions.keys()) {
      this.#versions.delete(oldest)
      return
    }
  }

  delete(name: string): void {
    this.#versions.delete(name)
  }
}
