### Texts: alarms (messages, tables) and their configuration.

alarm-subject = [Do'BaaS] Alarm: { $title } ({ $about })
alarm-subject-ended = [Do'BaaS] End of alarm: { $title } ({ $about })
alarm-digest-subject = [Do'BaaS] { $count } alarm messages
alarm-test-subject = [Do'BaaS] Test of the alarms
alarm-test-body = An operator is trying how alarms are sent. This message arrived: there is nothing to do.
alarm-about-server = server
alarm-about = About: { $about }
alarm-raised = The alarm began on { $since }.
alarm-reminder = Reminder: the alarm goes on since { $since }.
alarm-ended = The alarm, begun on { $since }, has ended.

alarm-late-title = backup late
alarm-late-sentence = The source "{ $subject }" has no complete backup within its period, which ended on { $at }.
alarm-late-advice = Check that the machine is on, that the agent runs and reaches the server: "dobaas-admin agent list" says when it last called.
alarm-late-customer = Check that the machine is on and connected, then run "dobaas status" on it. When in doubt, call your provider.
alarm-quota-over-title = daily change exceeded
alarm-quota-over-sentence = On { $subject }, { $used } changed or were to be sent; the order form allows { $allowed }.
alarm-quota-over-advice = Look at the sources responsible ("dobaas-admin quota show"). A sudden, massive excess may be ransomware at work.
alarm-quota-over-customer = If this change was expected (upgrade, import), there is nothing to do. If not, call your provider at once: a sudden excess may be ransomware at work.
alarm-quota-near-title = daily change near its limit
alarm-quota-near-sentence = On { $subject }, { $used } changed; the order form allows { $allowed }: 80% or more.
alarm-quota-near-advice = Look at the sources responsible ("dobaas-admin quota show").
alarm-quota-near-customer = If this change was expected, there is nothing to do. If not, call your provider.
alarm-volume-over-title = contracted volume exceeded
alarm-volume-over-sentence = The latest backups hold { $used }, the order form says { $allowed }.
alarm-volume-over-advice = Open the re-evaluation with the customer, or reduce the backup sets together.
alarm-volume-over-customer = Contact your provider to re-evaluate the volume, or reduce what your backup sets contain.
alarm-reevaluation-title = re-evaluation file open
alarm-reevaluation-sentence = File no. { $subject }, opened on { $at }, waits for a decision. At its highest: { $used } for { $allowed } allowed.
alarm-reevaluation-advice = "dobaas-admin reevaluation show" gives the days and the suggested volume. Agree with the customer, then "dobaas-admin reevaluation close".
alarm-hold-title = suspect backup
alarm-hold-sentence = A backup of the source "{ $subject }" is suspect since { $at }: nothing is pruned for this subscription any more.
alarm-hold-advice = Call the customer, look at the signals, then lift the hold with a second operator if there is no attack.
alarm-hold-customer = A lot of data changed at once. If you cannot explain it, isolate the machine and call your provider; your earlier backups are kept.
alarm-damaged-title = stored data damaged
alarm-damaged-sentence = { $used } stored objects of this subscription are damaged.
alarm-damaged-advice = Check the disk. The next backup sends what is missing if the source still has it; the scrub lists the affected backups.
alarm-scrub-late-title = scrub late
alarm-scrub-late-sentence = A stored object was to be read again by { $at }.
alarm-scrub-late-advice = Look at the upkeep jobs: the scrub may be paused, or too slow for this volume.
alarm-pruning-stopped-title = pruning stopped
alarm-pruning-stopped-sentence = Pruning waits for an operator since { $at }{ $subject ->
    [none] {""}
   *[other] {" "}({ $subject })
}.
alarm-pruning-stopped-advice = In doubt nothing is deleted. Find out why, then allow pruning.
alarm-store-nearly-full-title = store nearly full
alarm-store-nearly-full-sentence = { $used } are free above the reserve of { $allowed }.
alarm-store-nearly-full-advice = Make the disk larger. Below the reserve new backups are refused; restoring and pruning remain possible.
alarm-store-suspect-title = store refuses writes
alarm-store-suspect-sentence = A write failed: the store accepts nothing more, reading goes on.
alarm-store-suspect-advice = Look at the system's log and at the disk, then restart the server. No backup is accepted until then.
alarm-certificate-ends-title = certificate ends soon
alarm-certificate-ends-sentence = A certificate that the server presents ({ $subject }) ends on { $at }.
alarm-certificate-ends-advice = The provider's certificate renews itself: if it did not, look at the log. A public certificate is replaced in the files of the configuration.
alarm-counter-differs-title = counter wrong
alarm-counter-differs-sentence = { $used } counters of this subscription differ from their recount.
alarm-counter-differs-advice = Nothing is corrected silently: look at the log and report the difference to the maker.
alarm-claim-impossible-title = impossible claim of size
alarm-claim-impossible-sentence = The backup of the source "{ $subject }" received on { $at } claims { $allowed }, while { $used } of new data came in with it.
alarm-claim-impossible-advice = Volume and quota are measured by the server and stay right. But this agent misreports: check the machine and the agent's version; in doubt, revoke it ("dobaas-admin agent revoke") and set it up again.
alarm-not-verified-title = backups never verified by the customer
alarm-not-verified-sentence = No key holder verified or restored the source "{ $subject }" since { $at }, more than half of the history.
alarm-not-verified-advice = Offer the customer a trial restore: only they can prove that their backups can be read.
alarm-control-copy-failed-title = copy of the records failed
alarm-control-copy-failed-sentence = The provider's records (order forms, accounts, trail) were not copied into the store since { $at }.
alarm-control-copy-failed-advice = Look at the log and at the free space, then run "dobaas-server backup-control".
alarm-unreadable-title = subscription index unreadable
alarm-unreadable-sentence = The index of this subscription cannot be read: neither its state nor its alarms are known.
alarm-unreadable-advice = Look at the log. The stored data is not affected: "dobaas-server rebuild" makes the index again.
alarm-channel-failing-title = alarms not delivered
alarm-channel-failing-sentence = { $used } messages wait: sending by "{ $subject }" fails since { $at }.
alarm-channel-failing-advice = "dobaas-admin alarm list" says why; "dobaas-admin alarm test" tries each channel.
alarm-job-failed-title = upkeep job failed
alarm-job-failed-sentence = The job "{ $subject }" failed on { $at }.
alarm-job-failed-advice = "dobaas-admin upkeep status" says why; it is tried again every hour.
alarm-upkeep-paused-title = upkeep paused
alarm-upkeep-paused-sentence = Upkeep has been paused since { $at }: nothing is read again or purged.
alarm-upkeep-paused-advice = If the pause is of no use any more: "dobaas-admin upkeep resume".

alarm-channel-mail = mail
alarm-channel-webhook = webhook
alarm-channel-command = command
alarm-none = No alarm goes on.
alarm-no-channel = No channel is configured: see [alarms] in server.toml.
alarm-delivered = sent
alarm-failed = failed: { $cause }
alarm-not-delivered = At least one channel failed: see above.
alarm-never = never
alarm-head-kind = Alarm
alarm-head-subscription = Subscription
alarm-head-subject = Subject
alarm-head-since = Since
alarm-head-detail = Detail
alarm-head-channel = Channel
alarm-head-recipient = Recipient
alarm-head-result = Result
alarm-head-delivered = Last sent
alarm-head-queued = Waiting
alarm-head-error = Last error
help-admin-alarm = Alarms that go on, and channels
help-admin-alarm-list = Lists what is wrong, since when, and the state of the channels
help-admin-alarm-test = Sends a test message through every channel and says what each answered

alarm-config-address = Alarms: "{ $value }" is no mail address ({ $field }).
alarm-config-operators = Alarms: at least one operator's address is needed (alarms.mail.operators).
alarm-config-plain = Alarms: without encryption the mail server must be on this machine (alarms.mail.server: "{ $value }"). Set encryption = "starttls" or "tls".
alarm-config-login = Alarms: alarms.mail.login and alarms.mail.password_file go together.
alarm-config-url = Alarms: "{ $value }" is no usable http(s) address (alarms.webhook.url).
alarm-config-url-plain = Alarms: without TLS the webhook must be on this machine (alarms.webhook.url: "{ $value }"). Use https.
alarm-config-program = Alarms: alarms.command.program is a list that begins with the absolute path of a program ("{ $value }").
alarm-config-file = Alarms: the file { $value } ({ $field }) cannot be used: { $cause }
alarm-config-secret-open = Alarms: the secret { $value } ({ $field }) can be read by others than its owner: chmod 600.

notice-subject = [Do'BaaS] { $title } ({ $about })
notice-title = { $topic ->
    [suspension] subscription suspended
    [resumed] suspension over
    [maintenance] maintenance announced
    [maintenance_over] maintenance over or called off
    [amendment] amendment recorded
    [amendment_withdrawn] amendment withdrawn
    [reevaluation_opened] re-evaluation file opened
    [reevaluation_closed] re-evaluation file closed
    [relocation] place of your data
    [password_reset] password reset
    [password_withdrawn] old password refused
    [account_ended] end of an account
    [account_reopened] account reopened
    [end] end of the subscription
    [approval_shorten_history] history shortened
    [approval_lift_hold] lifting of a hold asked for
    [approval_unprotect] end of a protection asked for
    [approval_destroy] destruction asked for
    [approval_delete_subscription] deletion of the subscription asked for
    [approval_prune_override] pruning asked for
    [approval_expunge] targeted erasure asked for
   *[other] information from your provider
}
notice-sentence = { $topic ->
    [suspension] Your provider suspended the subscription: no new backup is accepted meanwhile, and nothing is deleted.
    [resumed] The suspension is over: backups go on by themselves.
    [maintenance] During this maintenance the agents postpone their backups by themselves; these are no failures.
    [maintenance_over] Backups go on by themselves.
    [amendment] An amendment of your order form is recorded.
    [amendment_withdrawn] An amendment that was waiting will not apply.
    [reevaluation_opened] A re-evaluation file of your contract is open.
    [reevaluation_closed] The re-evaluation file of your contract is closed.
    [relocation] A relocation of your data is recorded.
    [password_reset] After an identity check an operator gave this account a new temporary password; its sessions are closed. If nobody of yours asked for it, call your provider without waiting.
    [password_withdrawn] Your provider's records were put back to a state older than the newest password of this account. The old one is not accepted any more: ask your provider for a temporary password.
    [account_ended] An operator recorded the end of this account: from its date on it cannot log in and its sessions are closed. Backups do not depend on it. If this surprises you, call your provider.
    [account_reopened] An operator reopened this account or moved its end: it can log in with its password again. If nobody of yours asked for it, call your provider without waiting.
    [end] The end of the subscription is recorded or called off. The data stays until the hand-back.
    [approval_shorten_history] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_lift_hold] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_unprotect] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_destroy] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_delete_subscription] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_prune_override] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
    [approval_expunge] An operator asks for this operation. A second one must approve it, then seven days pass. If it surprises you, call your provider.
   *[other] Your provider informs you of the following.
}
notice-detail = Detail: { $detail }
notice-amendment = no. { $which }; what changes: { $fields }
notice-told = Recorded on { $at }. “dobaas accesses” shows at any time what your provider does on your subscription.

notice-reevaluation-opened = Re-evaluation file no. { $number } opened for { $day }: { $cause ->
    [growth] the scope of the contract grows ({ $allowed } → { $measured })
    [volume] { $measured } backed up, { $allowed } contracted
    [refused] { $measured } to be sent, { $allowed } allowed
   *[other] { $measured } changed, { $allowed } allowed
}. Your provider will contact you.
notice-reevaluation-closed = Re-evaluation file no. { $number } closed: { $outcome ->
    [amended] an amendment changes the contract
    [reduced] what is backed up is reduced
   *[other] nothing changes
}.
