/** The attached driver: reaching the store of an owner in another process, and being that owner. */
export { openAttachedStore, type AttachedOptions } from './client.ts'
export { attachStoreHost, type StoreHost, type StoreHostOptions } from './host.ts'
