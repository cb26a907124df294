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
help-option-from = First day, for example 2026-11-01 or 01/11/2026
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

audit-intact = The trail is intact: { $records } records followed one by one, { $checkpoints } signed checkpoints, { $unsigned } records since the last one.
audit-tampered = The trail is not intact: { $problem ->
    [record] record { $record }, or one before it, was changed or removed
    [truncated] it ends at record { $record }, but a signed checkpoint knows of more
    [checkpoint] it does not match the signed checkpoint of record { $record }
   *[other] the checkpoint of record { $record } was not signed by this server
}. Put a copy of control.db in a safe place and find out who had access to the machine.
