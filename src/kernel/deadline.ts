/** A moment after which something may not be relied on any more, in milliseconds. It has passed when either clock says so. */
export interface Deadline {
  /** `Clock.monotonic()`; valid in every process of this machine. Stands still while a machine is suspended. */
  readonly at: number
  /** `Clock.now()`; somewhat later than `at`, so that small steps of the wall clock do not reach it. */
  readonly wallAt: number
}
