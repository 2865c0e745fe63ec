/** The attached driver: reaching the store and the message queues of an owner in another process, and being that owner. */
export type { AttachedOptions } from './attachment.ts'
export { openAttachedStore } from './client.ts'
export { attachStoreHost } from './host.ts'
export type { Host, HostOptions } from './host-connection.ts'
export { attachMessageHost } from './message-host.ts'
export { openAttachedMessages } from './messages.ts'
