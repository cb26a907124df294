### Texts: what the contract makes operators do (dobaas-admin).

help-admin-approval = Requests that need two operators
help-admin-approval-list = Lists the standing requests, or all of them with --all
help-admin-approval-propose = Asks for something that cannot be undone; another operator approves it, then seven days pass
help-admin-approval-approve = Approves the request of another operator
help-admin-approval-withdraw = Withdraws a request
help-admin-audit = Trail of accesses and operations
help-admin-audit-list = Shows the newest records
help-admin-audit-verify = Verifies that nothing in the trail was changed
help-admin-audit-extract = Extracts everything about a subscription, oldest first
help-argument-number = Number
help-argument-kind = Kind of request
help-option-detail = What is asked for, and why
help-option-all = Also what is closed
help-option-from = Beginning: a day (2026-11-01 or 01/11/2026), with a time if needed ("2026-11-01 22:00")
help-option-to = Last day
help-option-limit = Number of records (100 by default, 1,000 at most)
help-option-format = jsonl (default) or csv, for a spreadsheet

admin-head-number = No.
admin-head-kind = Kind
admin-head-asked-by = Asked by
admin-head-asked = Asked
admin-head-approved-by = Approved by
admin-head-due = Possible from
admin-head-detail = Detail
admin-head-at = At
admin-head-who = Who
admin-head-address = From where
admin-head-action = Action
admin-head-object = Object
admin-head-result = Result

approval-kind-shorten-history = shorter history
approval-kind-lift-hold = lift of a hold
approval-kind-unprotect = end of a protection
approval-kind-destroy = destruction
approval-kind-delete-subscription = deletion of the subscription
approval-kind-prune-override = pruning against the guards
approval-kind-expunge = expunging
approval-state-asked = asked
approval-state-approved = approved
approval-state-withdrawn = withdrawn
approval-state-carried-out = carried out
approval-state-expired = expired
approval-proposed = Request { $number } is recorded and the customer can see it. Another operator must approve it: "dobaas-admin approval approve { $number }".
approval-approved = Request { $number } is approved. It can be carried out from { $due } on.
approval-withdrawn = Request { $number } is withdrawn.

audit-intact = The trail is intact: { PLURAL($records) ->
    [one] { $records } record
   *[other] { $records } records
} followed one by one, { PLURAL($checkpoints) ->
    [one] { $checkpoints } signed checkpoint
   *[other] { $checkpoints } signed checkpoints
} ({ $copied } of them in the last copy), { PLURAL($unsigned) ->
    [one] { $unsigned } record
   *[other] { $unsigned } records
} since the last one.
audit-tampered = The trail is not intact: { $problem ->
    [record] record { $record }, or one before it, was changed or removed
    [truncated] it ends at record { $record }, but a signed checkpoint knows of more
    [checkpoint] it does not match the signed checkpoint of record { $record }
   *[other] the checkpoint of record { $record } was not signed by this server
}. Put a copy of control.db in a safe place and find out who had access to the machine.

help-admin-subscription-end = Records a notice; the data stays until hand-back
help-admin-order = Order forms: parameters, amendments, printable annex
help-admin-order-amend = Records an amendment; what is not given stays
help-admin-order-history = Shows the amendments, before and after
help-admin-order-withdraw = Withdraws an amendment that still waits
help-admin-order-print = Writes the annex to sign: an HTML page for A4, or text
help-admin-suspend = Suspends a subscription: no more backups, nothing is deleted
help-admin-resume = Ends a suspension
help-admin-suspensions = Lists the suspensions
help-admin-maintenance = Announced maintenance, of the server or of one subscription
help-admin-maintenance-announce = Announces maintenance; agents postpone their backups
help-admin-maintenance-end = Ends maintenance, or calls it off
help-admin-maintenance-list = Lists the maintenance to come and under way
help-option-policy = Above the allowed change: flag (accept and mark), defer or refuse
help-option-min-daily = Change that is always allowed in a day, for example 1GB
help-option-thinning = Thinning, PERIOD:DAYS, for example week:60 (hour, day, week, month, year); may be repeated
help-option-period = Hours between two backups of a source (24 by default)
help-option-tolerance = Hours of delay that are tolerated (2 by default)
help-option-price = Price excluding VAT, for example "Forfait=49,90/mois"; may be repeated
help-option-signed = Day of the order form's signature
help-option-commitment = Commitment in months (36 by default)
help-option-renewal = Length of each renewal in months (the commitment's by default)
help-option-notice = Notice in months (6 by default)
help-option-document = Reference of the signed writing
help-option-document-signed = Day of its signature
help-option-applies = First day on which it applies (at once otherwise)
help-option-without-thinning = Takes the thinning away
help-option-text = Text instead of an HTML page
help-option-output = File to write (standard output otherwise)
help-option-received = Day on which the notice was received
help-option-early = Early termination, before the end of the commitment
help-option-cancel = Takes back a notice that has no effect yet
help-option-reason = Reason: unpaid, security, authority_request or other
help-option-until-moment = End: a day, with a time if needed
help-option-told = Day on which the customer was told
help-option-untold-because = Why the customer was not told

admin-head-document = Document
admin-head-signed = Signed
admin-head-applies = Applies from
admin-head-recorded-by = Recorded by
admin-head-changes = Changes
admin-head-field = Parameter
admin-head-before = Before
admin-head-after = After
admin-head-reason = Reason
admin-head-from = From
admin-head-until = Until
admin-head-told = Customer told
admin-head-period = One backup every
admin-head-tolerance = Tolerated delay
admin-head-policy = Beyond
admin-head-thinning = Thinning
admin-head-first-login = First login
admin-head-effective = Effective
admin-head-commissioned = Commissioned
admin-head-commitment = Commitment
admin-head-renewal = Renewal
admin-head-notice = Notice
admin-head-commitment-end = End of the current commitment
admin-head-last-notice = Last day for notice
admin-head-ended = End of the subscription

order-state-waiting = waiting
order-state-applied = applied
order-state-withdrawn = withdrawn
order-shortens = This amendment shortens the history: snapshots will go. It waits for a second operator, then seven days. "dobaas-admin retention preview" shows which ones.
order-price-from = The scope grows: a new price may apply from { $day } on.
order-amended = Amendment { $number } is recorded and applies since { $from }.
order-amended-later = Amendment { $number } is recorded and will apply from { $from } on.
order-amended-after-approval = Amendment { $number } is recorded. It will apply on { $from } at the earliest, once another operator approved request { $approval } and seven days passed.
order-withdrawn = Amendment { $number } is withdrawn.
order-printed = The annex is written to { $path }.
order-ends = Subscription { $reference } ends at the end of { $day }. The data stays until hand-back.
order-goes-on = The notice for subscription { $reference } is taken back: it goes on.

suspension-reason-unpaid = unpaid bills
suspension-reason-security = security
suspension-reason-authority-request = request of an authority
suspension-reason-other = other
closure-suspended = Subscription { $reference } is suspended from { $from } on (suspension { $number }). { $restores ->
    [security] Restores are closed.
    [authority_request] Restores are closed.
   *[other] Restores stay open.
} Nothing is deleted.
closure-resumed = Suspension { $number } is over.
closure-announced = Maintenance { $number } is announced from { $from } to { $until }; agents will postpone their backups.
closure-maintenance-over = Maintenance { $number } is over.
closure-server = the whole server

policy-flag = accepted and marked
policy-defer = deferred to the next day
policy-refuse = refused
thinning-hour = hour
thinning-day = day
thinning-week = week
thinning-month = month
thinning-year = year

annex-title = Annex to order form { $reference }: parameters of the backup service
annex-part-parties = 1. Parties and references
annex-part-sources = 2. Sources that are backed up
annex-part-volume = 3. Volume and frequency
annex-part-change = 4. Daily change
annex-part-history = 5. History
annex-part-place = 6. Location of the data
annex-part-keys = 7. Encryption keys
annex-part-prices = 8. Prices, excluding VAT
annex-part-dates = 9. Dates and lengths
annex-sources-closed = This list is closed: nothing else is backed up. A source is added by amendment.
annex-change-rule = Each civil day, Paris time, the changed bytes are compared with { $rate } of the volume of the first complete backup of each source, times the number of days since its previous backup (1 to 31). What counts is the plain bytes, before compression, of data that a backup reaches for the first time. The first backup of a source, a rename, a copy or a deletion do not count. Exactly { $rate } is inside the limit; one more byte exceeds it.
annex-change-example = Example: a source whose first backup is { $baseline } may change by { $allowed } a day. If the first backups add up to the contracted volume, { $volume }, that makes { $total } a day.
annex-change-floor = A change of { $floor } a day is always allowed.
annex-policy-flag = Beyond it, the backup is accepted; the day is marked "outside the guarantee" and a re-evaluation file is opened.
annex-policy-defer = Beyond it, what the day allows is accepted; the rest is sent on the following days, and the backup is marked partial until then.
annex-policy-refuse = Beyond it, sending is refused for the day; what is already backed up stays accessible.
annex-history = Every backup received less than this number of days ago is kept, with the newest one before that period and, always, the last complete backup of each source. Only the provider removes backups, never the agent. Shortening the history takes an amendment, two operators and seven days.
annex-thinning = the newest of each { $every }, for { $days } days
annex-site = Site
annex-country = Country
annex-owner = Operated by
annex-place = The data is kept in France, on the provider's own machines. Another place in the European Union needs the customer's prior written consent; a place outside the European Union is excluded.
annex-keys-customer = The keys are held by the customer alone. The provider verifies, counts and keeps the data without being able to read its content or its names. Without the passphrase or the recovery key nobody can read it again, the provider included.
annex-keys-provider = The keys are held by the customer and by the provider, who can therefore restore or hand back the data when the customer asks for it.
annex-price = { $amount } per { $per }
annex-price-once = { $amount }, once
annex-months = { PLURAL($months) ->
    [one] { $months } month
   *[other] { $months } months
}
annex-sign-provider = For the provider (name, date, signature)
annex-sign-customer = For the customer (name, date, signature)

admin-head-min-daily = Change always allowed a day
admin-head-history-rule = History
admin-head-prices = Prices
amended-change = { $name }: { $before } → { $after }
amended-days = { PLURAL($days) ->
    [one] { $days } day
   *[other] { $days } days
}
