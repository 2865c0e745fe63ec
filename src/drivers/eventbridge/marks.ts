/**
 * How we know our own objects. Rules and schedule groups carry the tag `signalbox=<namespace>`. Connections and API
 * destinations cannot carry tags (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TagResource.html), so
 * their descriptions end with the same words: `… (signalbox=<namespace>)`. So do those of rules, by which a list of rules
 * alone shows which may be ours; what a rule's tag says decides.
 */

export const TAG_KEY = 'signalbox'
/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html */
const MAX_DESCRIPTION = 512

/** @param text what else there is to say; cut where it is too long */
export function described(text: string, namespace: string): string {
  const mark = `(${TAG_KEY}=${namespace})`
  // Characters may be pairs of code units, and AWS counts either way: so none is cut in half.
  const kept = Array.from(text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')).slice(
    0,
    (MAX_DESCRIPTION - mark.length - 1) / 2,
  )
  return `${kept.join('').trim()} ${mark}`.trimStart()
}

export function isMarked(description: string | undefined, namespace: string): boolean {
  return description?.endsWith(`(${TAG_KEY}=${namespace})`) === true
}

/** @param tags as the API lists them */
export function isTagged(
  tags: readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] | undefined,
  namespace: string,
): boolean {
  return tags?.some(({ Key, Value }) => Key === TAG_KEY && Value === namespace) === true
}
