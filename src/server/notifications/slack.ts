/**
 * The channel of type `slack`: a `text` for an incoming webhook of Slack, Mattermost or Rocket.Chat.
 *
 * Invariant: what a job, a person or a receiver wrote stands in a code block, where it addresses nobody and links to nothing.
 */
import type { Event, Links } from '../../notifications/event.ts'
import type { Sender } from '../../notifications/sending.ts'
import { factsOf } from '../../notifications/text.ts'
import type { SlackConfig } from '../config/notification-values.ts'
import { post } from './post.ts'

const MAX_TEXT = 3_000

export function slackSender({ url }: SlackConfig, links: Links): Sender {
  return (event, atMs, signal) =>
    post({ url: new URL(url), body: JSON.stringify({ text: slackText(event, links) }), signal, now: atMs })
}

export function slackText(event: Event, links: Links): string {
  const { title, facts, said, url } = factsOf(event, links)
  const lines = facts.map(([name, value]) => `${name}: \`${inCode(value)}\``)
  const block = said.map((text) => `\n\`\`\`\n${inCode(text).slice(0, MAX_TEXT)}\n\`\`\``)
  return [`*${inCode(title)}*`, ...lines, ...(url === undefined ? [] : [url])].join('\n') + block.join('')
}

/** Nothing in it ends a code block or is markup; `@` and a name would address somebody in Mattermost's text. */
function inCode(text: string): string {
  return text.replaceAll('`', '’').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
