/** Random cron expressions that are valid, with every form of the grammar among them. */
import type { Random } from '../../kernel/id.ts'

const WEEKDAYS = ['SUN', 'mon', 'Tue', 'WED', 'THU', 'FRI', 'SAT']
const MONTHS = ['JAN', 'feb', 'Mar', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']

export class RandomExpressions {
  readonly #random: Random
  readonly #years: readonly [number, number]

  /** @param years the first and last that the expressions may name. */
  constructor(random: Random, years: readonly [number, number]) {
    this.#random = random
    this.#years = years
  }

  /** Of minutes and hours too. */
  next(): string {
    return this.#cron(this.#values(0, 59), this.#values(0, 23))
  }

  /** At midnight. */
  nextDaily(): string {
    return this.#cron('0', '0')
  }

  #cron(minutes: string, hours: string): string {
    const byDate = this.#chance(0.5)
    const [dates, weekdays] = byDate ? [this.#dates(), '?'] : ['?', this.#weekdays()]
    const months = this.#chance(0.6) ? '*' : this.#values(1, 12, MONTHS)
    return `cron(${minutes} ${hours} ${dates} ${months} ${weekdays} ${this.#yearsField()})`
  }

  #dates(): string {
    const forms = ['L', 'LW', `${this.#between(1, 31)}W`, `${this.#between(28, 31)}W`, '1W', '*']
    return this.#chance(0.5) ? this.#pick(forms) : this.#values(1, 31)
  }

  #weekdays(): string {
    const day = this.#value(1, 7, WEEKDAYS)
    const forms = ['L', `${day}L`, `${day}#${this.#between(1, 5)}`, `${day}#5`, '*']
    return this.#chance(0.5) ? this.#pick(forms) : this.#values(1, 7, WEEKDAYS)
  }

  #yearsField(): string {
    if (this.#chance(0.7)) return '*'
    const [first, last] = this.#years
    const from = this.#between(first, last)
    return this.#pick([`${from}`, `${from}-${this.#between(from, last)}`, `${from}/2`, `1970/3,${from}`])
  }

  #values(min: number, max: number, names?: readonly string[]): string {
    if (this.#chance(0.25)) return this.#chance(0.5) ? '*' : `*/${this.#between(1, max + 5)}`
    const count = this.#chance(0.6) ? 1 : this.#between(2, 4)
    return Array.from({ length: count }, () => this.#item(min, max, names)).join(',')
  }

  #item(min: number, max: number, names?: readonly string[]): string {
    const first = this.#value(min, max, names)
    const range = this.#chance(0.5) ? first : `${first}-${this.#value(min, max, names)}`
    return this.#chance(0.6) ? range : `${range}/${this.#between(1, 9)}`
  }

  #value(min: number, max: number, names?: readonly string[]): string {
    const value = this.#between(min, max)
    const name = names?.[value - 1]
    return name !== undefined && this.#chance(0.5) ? name : String(value)
  }

  #between(min: number, max: number): number {
    return min + Math.floor(this.#random.next() * (max - min + 1))
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability
  }

  #pick(from: readonly string[]): string {
    return from[Math.floor(this.#random.next() * from.length)] ?? '*'
  }
}
