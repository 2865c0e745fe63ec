/** Reads a small JSON document from an issuer: the edge to the network, which tests replace. */

/** @throws Error whose message says why, without a newline; the signal's reason when it aborts */
export type FetchJson = (url: string, signal: AbortSignal) => Promise<unknown>

/** Discovery documents and key sets are a few kilobytes. */
const MAX_BYTES = 256 * 1024

/** Follows no redirect: keys come from where the issuer says, and from nowhere else. */
export const fetchJson: FetchJson = async (url, signal) => {
  const answer = await fetch(url, {
    headers: { accept: 'application/json', 'user-agent': 'signalbox' },
    redirect: 'error',
    signal,
  })
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel()
    throw new Error(`answered with status ${answer.status}`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.byteLength
    if (size > MAX_BYTES) throw new Error(`sent more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch (cause) {
    throw new Error('sent what is not JSON', { cause })
  }
}
