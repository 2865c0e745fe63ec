/** The memory driver: a deterministic store for tests, with a fault simulator. */
export {
  memoryDatabase,
  memoryStore,
  type ConnectOptions,
  type MemoryDatabase,
  type MemoryStore,
} from './store.ts'
export type { Cut, Fault, FaultPlan, Faults, Hold, Operation } from './faults.ts'
