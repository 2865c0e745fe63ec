# Names and ARNs. The server makes connection, destination, rules and schedules itself; here is who may do that, and as whom AWS acts.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  scheduler  = var.trigger == "eventbridge-scheduler"
  account    = data.aws_caller_identity.current.account_id
  iam        = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}"
  regional   = "${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}"
  events     = "arn:${data.aws_partition.current.partition}:events:${local.regional}"
  schedulers = "arn:${data.aws_partition.current.partition}:scheduler:${local.regional}"

  connection_name      = coalesce(var.connection_name, "${var.name}-RunJob-Connection")
  api_destination_name = coalesce(var.api_destination_name, "${var.name}-RunJob-ApiDestination")
  namespace            = coalesce(var.namespace, local.connection_name)

  # AWS adds an id of its own to these two.
  connection_arns      = ["${local.events}:connection/${local.connection_name}", "${local.events}:connection/${local.connection_name}/*"]
  api_destination_arns = ["${local.events}:api-destination/${local.api_destination_name}", "${local.events}:api-destination/${local.api_destination_name}/*"]
  bus_arn              = "${local.events}:event-bus/default"
  bus_rule_arn         = "${local.events}:rule/${local.namespace}"
  rule_arns            = local.scheduler ? [local.bus_rule_arn] : ["${local.events}:rule/${var.rule_prefix}*"]
  group_arn            = "${local.schedulers}:schedule-group/${local.namespace}"
  schedule_arns        = ["${local.schedulers}:schedule/${local.namespace}/*"]
}

# The target role: EventBridge calls the API destination with it, and can do nothing else.

locals {
  target_trust_json = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = "events.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = local.rule_arns }
      }
    }]
  })

  target_policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Invoke", Effect = "Allow", Action = ["events:InvokeApiDestination"], Resource = local.api_destination_arns }]
  })
}

resource "aws_iam_role" "target" {
  name                 = "${var.name}-RunJob-Target"
  description          = "EventBridge calls the API destination ${local.api_destination_name} with it."
  assume_role_policy   = local.target_trust_json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "target" {
  name   = "invoke"
  role   = aws_iam_role.target.id
  policy = local.target_policy_json
}

# The scheduler's role, where that is the trigger: EventBridge Scheduler puts its events on the bus with it.

locals {
  scheduler_trust_json = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account, "aws:SourceArn" = local.group_arn } }
    }]
  })

  scheduler_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PutEvents"
      Effect    = "Allow"
      Action    = ["events:PutEvents"]
      Resource  = [local.bus_arn]
      Condition = { StringEquals = { "events:source" = "signalbox" } }
    }]
  })
}

resource "aws_iam_role" "scheduler" {
  count = local.scheduler ? 1 : 0

  name                 = "${var.name}-RunJob-Scheduler"
  description          = "EventBridge Scheduler puts the events of the schedule group ${local.namespace} on the bus with it."
  assume_role_policy   = local.scheduler_trust_json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  count = length(aws_iam_role.scheduler)

  name   = "put-events"
  role   = aws_iam_role.scheduler[0].id
  policy = local.scheduler_policy_json
}

# What the server may do: make and mend what it needs by these names and this tag, and pass these roles.

locals {
  tagged = { "aws:ResourceTag/signalbox" = local.namespace }
  tags   = { "aws:RequestTag/signalbox" = local.namespace }

  shared_statements = [
    { Sid = "Connection", Effect = "Allow", Action = local.connection_actions, Resource = local.connection_arns },
    { Sid = "Destination", Effect = "Allow", Action = local.api_destination_actions, Resource = concat(local.api_destination_arns, local.connection_arns) },
    { Sid = "ConnectionSecret", Effect = "Allow", Action = local.secret_actions, Resource = [local.secret_arn] },
    {
      Sid       = "ConnectionServiceRole"
      Effect    = "Allow"
      Action    = ["iam:CreateServiceLinkedRole"]
      Resource  = ["${local.iam}:role/aws-service-role/apidestinations.events.amazonaws.com/AWSServiceRoleForAmazonEventBridgeApiDestinations"]
      Condition = { StringEquals = { "iam:AWSServiceName" = "apidestinations.events.amazonaws.com" } }
    },
    {
      Sid       = "PassTargetRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [aws_iam_role.target.arn]
      Condition = { StringEquals = { "iam:PassedToService" = "events.amazonaws.com" } }
    },
  ]

  # A rule is put with the tag, and targets only to one that has it.
  rules_statements = [
    { Sid = "FindRules", Effect = "Allow", Action = ["events:ListRules", "events:ListRuleNamesByTarget"], Resource = ["*"] },
    { Sid = "LookAtRules", Effect = "Allow", Action = local.rule_read_actions, Resource = local.rule_arns },
    { Sid = "MakeRules", Effect = "Allow", Action = local.rule_make_actions, Resource = local.rule_arns, Condition = { StringEquals = local.tags } },
    { Sid = "ChangeRules", Effect = "Allow", Action = local.rule_change_actions, Resource = local.rule_arns, Condition = { StringEquals = local.tagged } },
  ]

  scheduler_statements = [
    { Sid = "BusRule", Effect = "Allow", Action = concat(local.rule_read_actions, local.rule_make_actions, local.rule_change_actions), Resource = local.rule_arns },
    { Sid = "Group", Effect = "Allow", Action = local.group_actions, Resource = [local.group_arn] },
    { Sid = "FindSchedules", Effect = "Allow", Action = ["scheduler:ListSchedules"], Resource = ["*"] },
    { Sid = "Schedules", Effect = "Allow", Action = local.schedule_actions, Resource = local.schedule_arns },
    {
      Sid       = "PassSchedulerRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [try(aws_iam_role.scheduler[0].arn, null)]
      Condition = { StringEquals = { "iam:PassedToService" = "scheduler.amazonaws.com" } }
    },
  ]

  connection_actions      = ["events:DescribeConnection", "events:CreateConnection", "events:UpdateConnection", "events:DeleteConnection"]
  api_destination_actions = ["events:DescribeApiDestination", "events:CreateApiDestination", "events:UpdateApiDestination", "events:DeleteApiDestination"]
  rule_read_actions       = ["events:DescribeRule", "events:ListTargetsByRule", "events:ListTagsForResource"]
  rule_make_actions       = ["events:PutRule", "events:TagResource"]
  rule_change_actions     = ["events:PutTargets", "events:RemoveTargets", "events:DeleteRule"]
  group_actions           = ["scheduler:GetScheduleGroup", "scheduler:CreateScheduleGroup", "scheduler:DeleteScheduleGroup", "scheduler:ListTagsForResource", "scheduler:TagResource"]
  schedule_actions        = ["scheduler:GetSchedule", "scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"]

  # EventBridge keeps the key of a connection in a secret that it makes with the caller's rights.
  secret_arn     = "arn:${data.aws_partition.current.partition}:secretsmanager:${local.regional}:secret:events!connection/${local.connection_name}/*"
  secret_actions = ["secretsmanager:CreateSecret", "secretsmanager:UpdateSecret", "secretsmanager:PutSecretValue", "secretsmanager:GetSecretValue", "secretsmanager:DeleteSecret"]

  server_policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.shared_statements, [for s in local.rules_statements : s if !local.scheduler], [for s in local.scheduler_statements : s if local.scheduler])
  })
}

resource "aws_iam_policy" "server" {
  name        = "${var.name}-RunJob-Server"
  description = "Keep the connection, the API destination and the rules or schedules of ${local.namespace}."
  policy      = local.server_policy_json
  tags        = var.tags
}
