/** What happened in a history: a hash over all of it, and the lines themselves when somebody wants to read them. */
export class Trace {
  readonly #at: () => number
  readonly #print: ((line: string) => void) | undefined
  #hash = 0x811c9dc5

  /** @param at true time, milliseconds. @param print takes each line; without it only the hash is kept */
  constructor(at: () => number, print?: (line: string) => void) {
    this.#at = at
    this.#print = print
  }

  note(who: string, what: string, number = 0): void {
    const at = this.#at()
    this.#mix(who)
    this.#mix(what)
    this.#hash = Math.imul(this.#hash ^ Math.floor(at * 1_000), 0x01000193)
    this.#hash = Math.imul(this.#hash ^ number, 0x01000193)
    this.#print?.(
      `${(at / 1_000).toFixed(3).padStart(9)}s  ${who.padEnd(5)} ${what}${number === 0 ? '' : ` ${number}`}`,
    )
  }

  /** FNV-1a over every line so far. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  #mix(text: string): void {
    for (let i = 0; i < text.length; i++) this.#hash = Math.imul(this.#hash ^ text.charCodeAt(i), 0x01000193)
  }
}
