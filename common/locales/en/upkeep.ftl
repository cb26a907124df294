### Texts: upkeep, history, holds and protections (dobaas-admin).

help-admin-upkeep = Upkeep: jobs, pauses, stopped pruning, damage
help-admin-upkeep-status = Shows the jobs, how far they are, how they ended last, and why pruning stands still
help-admin-upkeep-run = Runs a job as soon as its place is free
help-admin-upkeep-pause = Pauses upkeep, also across a restart
help-admin-upkeep-resume = Resumes upkeep
help-admin-upkeep-stop = Stops the running job; it begins again when due
help-admin-upkeep-allow = Allows pruning that a guard stopped (clock, downtime, rebuild)
help-admin-upkeep-damage = Lists what is damaged and the snapshots affected
help-admin-retention = What the history keeps, and what goes
help-admin-retention-preview = Shows for each snapshot whether it is kept, why, and when it goes
help-admin-hold = Suspect snapshots
help-admin-hold-list = Lists holds with their signals and figures
help-admin-hold-lift = Lifts holds once the request lift_hold is approved and seven days have passed
help-admin-protect = Protects a snapshot until a date
help-admin-protections = Lists the protections of a subscription
help-admin-unprotect = Ends a protection before its date; takes a second operator and seven days
help-argument-job = Job: expire, mark, purge, compact, scrub, recount, checkpoint, amend, judge or control-copy
help-argument-place = Reference of the order form (otherwise the server itself; for status, everything)
help-argument-snapshot = Id of the snapshot, or its first 8 digits
help-argument-protection = Id of the protection, or its first 8 digits
help-option-looked = What was looked at before allowing
help-option-compared-history = History to compare with, in days: shows what would go
help-option-protected-until = Last day of the protection, for example 2031-12-31
help-option-protected-reason = Reason, which the customer sees
help-option-lifted = What is over too

admin-head-job = Job
admin-head-next = Next
admin-head-last = Last
admin-head-snapshot = Snapshot
admin-head-source = Source
admin-head-received = Received
admin-head-damaged = Damaged chunks
admin-head-why = Kept because
admin-head-goes = Goes on
admin-head-shorter = With the other history
admin-head-suspect = Suspect
admin-head-clean = Last clean
admin-head-signals = Signals
admin-head-changed-allowed = Changed / allowed
admin-head-compressed = Compressed size
admin-head-gone-entries = Files gone
admin-head-gone-bytes = Content gone
admin-head-protection = Protection
admin-head-ended-early = Ended on

upkeep-server = server
upkeep-everywhere = all subscriptions
upkeep-job-checkpoint = signing the trail
upkeep-job-amend = amendments
upkeep-job-control-copy = copy of the records
upkeep-job-announce = announcement
upkeep-job-expire = expiry
upkeep-job-mark = marking
upkeep-job-purge = purge
upkeep-job-repair = repair
upkeep-job-compact = compaction
upkeep-job-scrub = scrubbing
upkeep-job-recount = recount
upkeep-job-judge = judging the days
upkeep-running = running: { $total ->
    [none] { $done }
   *[other] { $done } of { $total }
}
upkeep-is-paused = paused
upkeep-waits = waiting
upkeep-at-once = as soon as possible
upkeep-never = never
upkeep-done = done
upkeep-was-stopped = stopped by an operator
upkeep-failed = failed: { $cause }
upkeep-counted = { $name }: { $number }
upkeep-count-records = records
upkeep-count-applied = amendments applied
upkeep-count-commissioned = commissioned
upkeep-count-copies = copies
upkeep-count-removed = removed
upkeep-count-expired = snapshots gone
upkeep-count-kept = kept
upkeep-count-chunks = chunks
upkeep-count-reached = reached
upkeep-count-trashed = moved to trash
upkeep-count-brought-back = brought back
upkeep-count-purged = chunks purged
upkeep-count-waiting = in their grace
upkeep-count-packs = packs
upkeep-count-bytes = volume
upkeep-count-replaced = packs replaced
upkeep-count-written = packs written
upkeep-count-copied-bytes = volume copied
upkeep-count-objects = objects read
upkeep-count-damaged-objects = damaged objects
upkeep-count-unknown-objects = unknown objects
upkeep-count-damaged-chunks = damaged chunks
upkeep-count-affected-snapshots = snapshots affected
upkeep-count-over = days over
upkeep-count-differences = differences
upkeep-count-failed = failures
upkeep-count-damaged = damaged

pruning-stop-clock-forward = the server's clock jumped forward
pruning-stop-clock-back = the server's clock went back
pruning-stop-downtime = the server was down for more than a day
pruning-stop-rebuilt = an index was rebuilt or the records were restored
pruning-stop-too-many = too many snapshots would go at once (request prune_override)
pruning-stop-read-failed = the store does not show all that it should
pruning-stop-hold = a snapshot is suspect ("dobaas-admin hold list")
pruning-stop-suspended = the subscription is suspended
pruning-stop-ended = the subscription has ended
pruning-stop-stopped = a guard stopped it
pruning-stop-protected = a snapshot is protected
pruning-stop-kept = the history keeps the snapshot
pruning-stop-in-use = a pack is still in use

upkeep-stop = Pruning stands still ({ $place }){ $since ->
    [none] {""}
   *[other] {" "}since { $since }
}: { $reason }.{ $allow ->
    [yes] {" "}After looking: "dobaas-admin upkeep allow".
   *[other] {""}
}
upkeep-asked = The job "{ $job }" ({ $place }) begins as soon as its place is free.
upkeep-paused = Upkeep is paused ({ $place }).
upkeep-resumed = Upkeep goes on ({ $place }).
upkeep-stopped = The running job is stopped ({ $place }).
upkeep-nothing-ran = No job was running ({ $place }).
upkeep-allowed = Pruning goes on ({ $place }).
upkeep-nothing-stopped = No guard had stopped pruning ({ $place }).
upkeep-undamaged = Nothing is damaged.
upkeep-affected = Damaged chunks: { $chunks }. Snapshots affected:
upkeep-unaffected = Damaged chunks: { $chunks }. No snapshot is affected.
upkeep-object-suspect = to be read again
upkeep-object-quarantined = damaged in part
upkeep-object-unread = unreadable when the catalog was rebuilt
upkeep-object-lost = lost
upkeep-object-damaged = damaged or lost

retention-stopped = Nothing goes at present: { $reason }.
retention-reason-in-window = in the history
retention-reason-window-edge = first day of the history
retention-reason-last-complete = last complete one
retention-reason-last-verified = last verified one
retention-reason-protected = protected
retention-reason-newest = the newest
retention-reason-suspect = held
retention-goes = goes
retention-stays = stays
retention-not-in-sight = not in sight
retention-complete = complete
retention-partial = partial
retention-summary = History of { $days } days: { $kept } kept, { $going } at the next expiry.
retention-compared = With { $days } days, { $count } more would go.

hold-none = No hold.
hold-stands = standing
hold-was-lifted = lifted on { $at }
hold-part = { $part } / { $whole }
hold-signal-change = massive change
hold-signal-incompressible = content no longer compresses
hold-signal-gone = massive disappearance
hold-lifted = Holds lifted for { $reference }: { $count }.
hold-later = Holds that came after the request and still stand: { $count }.

protect-none = No protection.
protect-done = Snapshot { $snapshot } is protected until { $until }.
protect-asked = Request no. { $number } is recorded and the customer sees it. Another operator must approve it; seven days later, run this command again.
protect-waits = Request no. { $number } is approved; run this command again from { $due } on.
protect-ended = The protection is ended (request no. { $number }).
