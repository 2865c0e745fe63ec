/** Topics over HTTP: create, replace, list, read, and watch the results of one. */
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { streamSnapshots, wantsStream } from '../../ports/event-stream.ts'
import { createTopicBody, idText, replaceTopicBody, topicView } from '../api.ts'
import { pageOf, refusal } from '../service.ts'
import type { App, VotingAppOptions } from './app.ts'
import { requireKey } from './auth.ts'
import { invalidView, problemView } from './errors.ts'
import { flagText, pageQuery, sendPage } from './paging.ts'

const tags = ['topics']
const security = [{ apiKey: [] }, { bearer: [] }]
const params = z.object({ id: z.string() })
const includeVotes = flagText.optional().describe('Count the votes of each choice; otherwise votes is null.')

export function topicRoutes(app: App, options: VotingAppOptions): void {
  const { voting, apiKey } = options
  const preValidation = requireKey(apiKey)
  app.route({
    method: 'POST',
    url: '/topics',
    preValidation,
    schema: {
      tags,
      security,
      operationId: 'createTopic',
      summary: 'Create a topic',
      body: createTopicBody,
      response: { 201: topicView, 401: problemView, 422: invalidView },
    },
    handler: async ({ body }, reply) => reply.code(201).send(await voting.createTopic(body)),
  })
  app.route({
    method: 'PUT',
    url: '/topics/:id',
    preValidation,
    schema: {
      tags,
      security,
      operationId: 'replaceTopic',
      summary: 'Replace title, activity and choices of a topic; the answer is null',
      params,
      body: replaceTopicBody,
      response: { 200: z.null(), 401: problemView, 404: problemView, 422: invalidView },
    },
    handler: async ({ params, body }, reply) => {
      await voting.replaceTopic(existing(params.id, 'topic'), body)
      return sendNull(reply)
    },
  })
  app.route({
    method: 'GET',
    url: '/topics',
    schema: {
      tags,
      operationId: 'listTopics',
      summary: 'List topics',
      querystring: z.object({ include_votes: includeVotes, ...pageQuery }),
      response: { 200: z.array(topicView), 422: invalidView },
    },
    handler: async (request, reply) => {
      const { include_votes, limit, cursor } = request.query
      return sendPage(request, reply, await voting.listTopics(pageOf(limit, cursor), include_votes))
    },
  })
  readRoute(app, options)
}

function readRoute(app: App, { voting, live, clock }: VotingAppOptions): void {
  app.route({
    method: 'GET',
    url: '/topics/:id',
    schema: {
      tags,
      operationId: 'getTopic',
      summary: 'Read a topic; with Accept: text/event-stream its results live, as events named topic',
      params,
      querystring: z.object({ include_votes: includeVotes }),
      response: { 200: topicView, 404: problemView },
    },
    handler: async (request, reply) => {
      const id = existing(request.params.id, 'topic')
      if (!wantsStream(request)) return voting.getTopic(id, request.query.include_votes)
      await voting.getTopic(id)
      streamSnapshots(reply, {
        clock,
        onChange: (changed) => live.onChange(id, changed),
        snapshot: async () => ({ event: 'topic', data: await live.latest(id) }),
      })
      return reply
    },
  })
}

/** An id that could be one. @throws SignalboxError `not_found` */
export function existing(id: string, what: 'topic' | 'vote'): string {
  if (idText.safeParse(id).success) return id
  throw refusal('not_found', 'id', `there is no such ${what}`)
}

function sendNull(reply: FastifyReply): FastifyReply {
  return reply
    .code(200)
    .header('content-type', 'application/json; charset=utf-8')
    .serializer(String)
    .send('null')
}
