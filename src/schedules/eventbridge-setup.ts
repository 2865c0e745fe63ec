/**
 * What an installation on EventBridge needs: the settings, the roles that AWS acts as, and what the server itself may do. Pure.
 *
 * The least that works: a role to call the API destination (`events.amazonaws.com` acts as it; for EventBridge Scheduler one
 * more, to put events), and for the server its own connection, destination and rules, the secret that AWS keeps for the
 * connection, and passing those roles. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
 */

export interface SetupRequest {
  readonly trigger: 'eventbridge' | 'eventbridge-scheduler'
  readonly project: string
  readonly environment: string
  /** Of 12 digits. */
  readonly account: string
  readonly region: string
  /** Where EventBridge reaches the server. */
  readonly targetUrl: string
  readonly apiKey: string
}

export interface SetupRole {
  readonly name: string
  readonly trust: object
  readonly policy: object
}

export interface Setup {
  /** Environment variables of the server. */
  readonly settings: Readonly<Record<string, string>>
  readonly roles: readonly SetupRole[]
  /** For the role or user that the server runs as. */
  readonly serverPolicy: object
}

export function eventBridgeSetup(request: SetupRequest): Setup {
  const { trigger, project, environment, account, targetUrl, apiKey } = request
  const name = `${project}-${environment}`
  const names = {
    connection: `${name}-RunJob-Connection`,
    destination: `${name}-RunJob-ApiDestination`,
    targetRole: `${name}-RunJob-Target`,
    schedulerRole: `${name}-RunJob-Scheduler`,
  }
  const roleArn = (role: string): string => `arn:${partitionOf(request)}:iam::${account}:role/${role}`
  const scheduler = trigger === 'eventbridge-scheduler'
  const settings = {
    SIGNALBOX_SCHEDULES_TRIGGER: trigger,
    AwsEventBridgeSettings__APIKey: apiKey,
    AwsEventBridgeSettings__TargetRoleArn: roleArn(names.targetRole),
    AwsEventBridgeSettings__ApiConnectionName: names.connection,
    AwsEventBridgeSettings__ApiDestinationName: names.destination,
    EB_TARGET_URL: targetUrl,
    AWS_REGION: request.region,
    ...(scheduler
      ? { SIGNALBOX_SCHEDULES_EVENT_BRIDGE_SCHEDULER_ROLE_ARN: roleArn(names.schedulerRole) }
      : {}),
  }
  return {
    settings,
    roles: [targetRole(request, names), ...(scheduler ? [schedulerRole(request, names)] : [])],
    serverPolicy: policy(serverStatements(request, names, roleArn)),
  }
}

interface Names {
  readonly connection: string
  readonly destination: string
  readonly targetRole: string
  readonly schedulerRole: string
}

function targetRole(request: SetupRequest, names: Names): SetupRole {
  return {
    name: names.targetRole,
    trust: trust('events.amazonaws.com', request.account),
    policy: policy([
      allow(
        'Invoke',
        ['events:InvokeApiDestination'],
        [eventsArn(request, `api-destination/${names.destination}/*`)],
      ),
    ]),
  }
}

function schedulerRole(request: SetupRequest, names: Names): SetupRole {
  const putEvents = allow('PutEvents', ['events:PutEvents'], [eventsArn(request, 'event-bus/default')])
  return {
    name: names.schedulerRole,
    trust: trust('scheduler.amazonaws.com', request.account),
    policy: policy([{ ...putEvents, Condition: { StringEquals: { 'events:source': 'signalbox' } } }]),
  }
}

function serverStatements(
  request: SetupRequest,
  names: Names,
  roleArn: (role: string) => string,
): readonly Statement[] {
  const { account, region } = request
  const partition = partitionOf(request)
  const actions = (what: string): string[] =>
    ['Describe', 'Create', 'Update', 'Delete'].map((verb) => `events:${verb}${what}`)
  const connection = eventsArn(request, `connection/${names.connection}*`)
  const serviceRole = 'apidestinations.events.amazonaws.com'
  const secret = `arn:${partition}:secretsmanager:${region}:${account}:secret:events!connection/${names.connection}/*`
  const pass = (role: string, service: string): Statement => ({
    ...allow(`Pass${service}`, ['iam:PassRole'], [roleArn(role)]),
    Condition: { StringEquals: { 'iam:PassedToService': `${service.toLowerCase()}.amazonaws.com` } },
  })
  return [
    allow('Connection', actions('Connection'), [connection]),
    allow('Destination', actions('ApiDestination'), [
      eventsArn(request, `api-destination/${names.destination}*`),
      connection,
    ]),
    allow(
      'Secret',
      ['Create', 'Update', 'Get', 'Delete']
        .map((verb) => `secretsmanager:${verb}Secret${verb === 'Get' ? 'Value' : ''}`)
        .concat('secretsmanager:PutSecretValue'),
      [secret],
    ),
    {
      ...allow(
        'ServiceRole',
        ['iam:CreateServiceLinkedRole'],
        [
          `arn:${partition}:iam::${account}:role/aws-service-role/${serviceRole}/AWSServiceRoleForAmazonEventBridgeApiDestinations`,
        ],
      ),
      Condition: { StringEquals: { 'iam:AWSServiceName': serviceRole } },
    },
    allow('FindRules', ['events:ListRules', 'events:ListRuleNamesByTarget'], ['*']),
    ...ruleStatements(request, names),
    pass(names.targetRole, 'Events'),
    ...(request.trigger === 'eventbridge-scheduler'
      ? [...schedulerStatements(request, names), pass(names.schedulerRole, 'Scheduler')]
      : []),
  ]
}

/** A rule is made with the tag, and only one that has it is changed. */
function ruleStatements(request: SetupRequest, { connection }: Names): readonly Statement[] {
  const rules = [eventsArn(request, 'rule/*')]
  const tag = (key: string) => ({ Condition: { StringEquals: { [`aws:${key}/signalbox`]: connection } } })
  return [
    allow(
      'LookAtRules',
      ['events:DescribeRule', 'events:ListTargetsByRule', 'events:ListTagsForResource'],
      rules,
    ),
    { ...allow('MakeRules', ['events:PutRule', 'events:TagResource'], rules), ...tag('RequestTag') },
    {
      ...allow('ChangeRules', ['events:PutTargets', 'events:RemoveTargets', 'events:DeleteRule'], rules),
      ...tag('ResourceTag'),
    },
  ]
}

function schedulerStatements(request: SetupRequest, { connection }: Names): readonly Statement[] {
  const arn = (resource: string): string =>
    `arn:${partitionOf(request)}:scheduler:${request.region}:${request.account}:${resource}`
  const on = (what: string): string[] =>
    ['Get', 'Create', 'Update', 'Delete'].map((verb) => `scheduler:${verb}${what}`)
  const group = on('ScheduleGroup').filter((action) => !action.includes('Update'))
  return [
    allow(
      'Group',
      [...group, 'scheduler:ListTagsForResource', 'scheduler:TagResource'],
      [arn(`schedule-group/${connection}`)],
    ),
    allow('Schedules', on('Schedule'), [arn(`schedule/${connection}/*`)]),
    allow('FindSchedules', ['scheduler:ListSchedules'], ['*']),
  ]
}

interface Statement {
  readonly Sid: string
  readonly Effect: 'Allow'
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
  readonly Condition?: object
}

function allow(Sid: string, Action: readonly string[], Resource: readonly string[]): Statement {
  return { Sid, Effect: 'Allow', Action, Resource }
}

function policy(Statement: readonly Statement[]): object {
  return { Version: '2012-10-17', Statement }
}

/** Only for this account's own objects: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html */
function trust(service: string, account: string): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: service },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'aws:SourceAccount': account } },
      },
    ],
  }
}

function eventsArn(request: SetupRequest, resource: string): string {
  return `arn:${partitionOf(request)}:events:${request.region}:${request.account}:${resource}`
}

function partitionOf({ region }: SetupRequest): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}
