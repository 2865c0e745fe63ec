/** Votes over HTTP: cast one, see whether it is counted, list those of a topic. Open to everybody, as in the reference. */
import { z } from 'zod'
import { createVoteBody, idText, queuedVoteView, voteView } from '../api.ts'
import { pageOf, refusal } from '../service.ts'
import type { App, VotingAppOptions } from './app.ts'
import { invalidView, problemView } from './errors.ts'
import { pageQuery, sendPage } from './paging.ts'
import { existing } from './topics.ts'

const tags = ['votes']
const MAX_KEY = 255

export function voteRoutes(app: App, { voting }: VotingAppOptions): void {
  app.route({
    method: 'POST',
    url: '/votes',
    schema: {
      tags,
      operationId: 'createVote',
      summary: 'Cast a vote; it is queued, and counted a moment later',
      headers: z.looseObject({
        'idempotency-key': z
          .string()
          .min(1)
          .max(MAX_KEY)
          .optional()
          .describe('Makes sending the same vote again safe, as id in the body does; choose it at random.'),
      }),
      body: createVoteBody,
      response: {
        202: queuedVoteView,
        404: problemView,
        409: problemView,
        422: invalidView,
        503: problemView,
      },
    },
    handler: async ({ body, headers }, reply) =>
      reply.code(202).send(await voting.vote(body, headers['idempotency-key'])),
  })
  app.route({
    method: 'GET',
    url: '/votes/:id',
    schema: {
      tags,
      operationId: 'getVote',
      summary: 'Read a vote; 404 until it is counted',
      params: z.object({ id: z.string() }),
      response: { 200: voteView, 404: problemView },
    },
    handler: async ({ params }) => {
      const vote = await voting.getVote(existing(params.id, 'vote'))
      if (vote === undefined)
        throw refusal('not_found', 'id', `vote '${params.id}' is not counted, or not yet`)
      return vote
    },
  })
  app.route({
    method: 'GET',
    url: '/votes',
    schema: {
      tags,
      operationId: 'listVotes',
      summary: 'List the votes of a topic, newest first',
      querystring: z.object({ topic_id: idText, ...pageQuery }),
      response: { 200: z.array(voteView), 404: problemView, 422: invalidView },
    },
    handler: async (request, reply) => {
      const { topic_id, limit, cursor } = request.query
      return sendPage(request, reply, await voting.listVotes(topic_id, pageOf(limit, cursor)))
    },
  })
}
