"""Definition files of the demo's workspace: the path, the metrics, and the tree that joins them."""

from __future__ import annotations

from typing import Final

DEFINITIONS: Final = {
    "funnels/activation.yml": """\
kind: funnel
name: activation
label: {en: From install to first entry, zh: 从安装到第一笔账}
window: 7d
steps:
  - {event: app_installed}
  - {event: signup_started}
  - {event: phone_verified, target: 0.9}
  - {event: account_created}
  - {event: entry_created}
""",
    "metrics/activation_rate.yml": """\
kind: metric
name: activation_rate
label: {en: Activation rate, zh: 激活率}
description: {en: Share of new accounts with a first entry within 48 hours., zh: 48小时内记下第一笔账的新账户占比。}
owner: activation
type: conversion
start: {event: account_created}
target: {event: entry_created}
within: 48h
better: up
level: gold
targets:
  - {value: 0.8}
""",
    "metrics/revenue.yml": """\
kind: metric
name: revenue
label: {en: Revenue, zh: 收入}
description: {en: "Paid orders, in CNY.", zh: 已支付的订单金额，人民币。}
owner: commerce
type: simple
numerator: {event: order_paid, agg: sum, of: amount}
unit: money
better: up
""",
    "metrics/growth.yml": """\
kind: metric
name: weekly_bookkeepers
label: {en: Users who book an entry, zh: 记账用户}
description: {en: Users with at least one entry in the period., zh: 周期内至少记账一次的用户。}
owner: growth
type: simple
numerator: {event: entry_created, agg: users}
better: up
level: gold
---
kind: metric
name: active_users
label: {en: Active users, zh: 活跃用户}
type: simple
numerator: {event: "*", agg: users}
better: up
---
kind: metric
name: booking_share
label: {en: Share of active users who book, zh: 活跃用户记账率}
type: proportion
numerator: {event: entry_created}
better: up
---
kind: metric
name: installs
label: {en: Installs, zh: 安装}
owner: acquisition
type: simple
numerator: {event: app_installed, agg: users}
better: up
---
kind: metric
name: earlier_users
label: {en: Active users who did not install in the period, zh: 非当期安装的活跃用户}
type: derived
expression: active_users − installs
unit: count
better: up
---
kind: metric
name: verification_rate
label: {en: Phone verification within a day, zh: 一天内通过手机验证}
owner: activation
type: conversion
start: {event: signup_started}
target: {event: phone_verified}
within: 1d
better: up
targets:
  - {value: 0.9}
---
kind: metric
name: week_one_retention
label: {en: Week 1 retention, zh: 第一周留存}
owner: growth
type: retention
start: {event: account_created}
target: {event: app_opened}
after: 7d
within: 7d
better: up
---
kind: metric
name: payers
label: {en: Paying users, zh: 付费用户}
type: simple
numerator: {event: order_paid, agg: users}
better: up
---
kind: metric
name: revenue_per_payer
label: {en: Revenue per paying user, zh: 付费用户人均收入}
type: derived
expression: revenue / payers
unit: money
better: up
---
kind: metric
name: invitations
label: {en: Invitations sent, zh: 发出邀请}
type: simple
numerator: {event: invitation_sent}
better: up
---
kind: metric
name: monthly_actives
label: {en: Active users in 28 days, zh: 28 天活跃用户}
type: cumulative
numerator: {event: "*", agg: users}
window: 28d
better: up
""",
    "metrics/tree.yml": """\
kind: tree
name: growth
label: {en: Growth, zh: 增长}
north_star: weekly_bookkeepers
period: week
horizon: 4
nodes:
  weekly_bookkeepers: {is: active_users × booking_share}
  active_users: {is: installs + earlier_users, drivers: [monthly_actives]}
  installs: {stage: acquisition}
  earlier_users: {stage: retention, drivers: [week_one_retention]}
  booking_share: {stage: activation, drivers: [verification_rate, activation_rate]}
  revenue: {stage: revenue, drivers: [payers, revenue_per_payer]}
  invitations: {stage: referral}
""",
    "segments/habit.yml": """\
kind: segment
name: habit
label: {en: Users with a habit, zh: 已养成习惯的用户}
all:
  - {active_days: entry_created, within: 30d, at_least: 8}
""",
    "segments/on_android.yml": """\
kind: segment
name: on_android
label: {en: Users on Android, zh: 安卓用户}
all:
  - {prop: platform, value: android}
""",
    "strategy/aha.yml": """\
kind: aha
name: first_entries
label: {en: What keeps new users, zh: 新用户因何留下}
start: {event: account_created}
outcome: {event: app_opened}
after: 21d
until: 28d
adjust: [channel]
exclude: [reminder_received, reminder_opened]  # sent by the product, or an answer to it
""",
    "strategy/quadrants.yml": """\
kind: quadrants
name: new_users
label: {en: New users, zh: 新用户}
start: {event: account_created}
before: 1d
outcome: {event: entry_created}
within: 48h
desire:
  - {event: goal_chosen}
  - {event: onboarding_viewed, measure: largest, of: duration_ms, label: {en: time on the welcome pages, zh: 在欢迎页停留的时间}}
friction:
  - {event: code_resent}
  - {event: phone_verified, measure: largest, of: duration_ms, label: {en: wait for the code, zh: 等验证码的时间}}
retention: {event: app_opened, after: 21d, until: 28d}
value: {event: order_paid, of: amount, within: 28d}
by: channel
""",
    "strategy/behaviour.yml": """\
kind: behaviour
name: opening
label: {en: Opening the app, zh: 打开应用}
target: {event: app_opened}
joined: {event: account_created}
settled: 2d
back: 3d
ahead: 26d
motivation:  # no entries: they are what ability and trigger make of motivation
  - {event: goal_chosen}
  - {event: onboarding_viewed, measure: largest, of: duration_ms, label: {en: time on the welcome pages, zh: 在欢迎页停留的时间}}
ability:
  - {event: code_resent, sign: less}
  - {event: phone_verified, measure: largest, of: duration_ms, sign: less, label: {en: wait for the code, zh: 等验证码的时间}}
trigger:
  - {event: app_opened, where: [{prop: push_enabled, value: true}], label: {en: push permission, zh: 推送权限}}
by: push_enabled
""",
    "strategy/hook.yml": """\
kind: hook
name: bookkeeping
label: {en: Bookkeeping as a habit, zh: 记账习惯}
trigger: {any_of: [reminder_opened, app_opened]}
action: {event: entry_created}
reward: {event: report_viewed}
investment: {event: budget_set}
within: {action: 1h, reward: 1d, investment: 1d, trigger: 7d}
""",
}
