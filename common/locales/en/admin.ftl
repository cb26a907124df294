### Texts: dobaas-admin.

help-dobaas-admin = Administration of the Do'BaaS backup service
help-admin-login = Opens a login; a default password is changed at once
help-admin-password = Change your own password; your other logins end
help-admin-logout = Ends the login
help-admin-customer = Customers
help-admin-customer-create = Records a customer
help-admin-customer-list = Lists the customers
help-admin-subscription = Subscriptions and order forms
help-admin-subscription-create = Records an order form and makes the subscription
help-admin-subscription-list = Lists the subscriptions
help-admin-subscription-show = Shows one subscription whole
help-admin-account = Accounts of customers and operators
help-admin-account-create = Makes an account; its default password is shown once
help-admin-account-list = Lists the accounts
help-admin-account-reset = Gives a new default password after an identity check
help-admin-account-end = End an account: its sessions are closed, it cannot log in any more, nothing is deleted
help-admin-account-reopen = Reopen an account that has ended, or move its end
help-option-reason-account = Reason, kept in the audit trail
help-option-after = Last day on which the account can be used; without it, it ends at once
help-admin-agent = Agents of a subscription
help-admin-agent-list = Lists the agents
help-admin-agent-revoke = Revokes an agent: its token is worth nothing from then on
help-admin-agent-token = Makes a one-use enrolment token, shown once
help-admin-agent-allow = Lets an agent restore content without a person
help-admin-agent-forbid = Takes that right away
help-option-state = Folder of the login (otherwise $XDG_STATE_HOME/dobaas-admin)
help-option-server = Address of the server, https://host:port
help-option-fingerprint = SHA-256 fingerprint of the provider's root
help-option-identifier = Identifier of the operator
help-option-password-file = Password: first line of this file
help-option-password-command = Password: first line that this command prints
help-option-password-fd = Password: first line of this descriptor
help-option-new-password-file = New password, if the default one must be changed: first line of this file
help-option-new-password-command = New password: first line that this command prints
help-option-new-password-fd = New password: first line of this descriptor
help-option-customer = Reference of the customer
help-option-volume = Contracted volume, such as 500GB or 1.5TB
help-option-history = History, in days
help-option-source = Ordered source, KIND:NAME, such as files:office; may be repeated
help-option-per-mille = Daily change allowed, in thousandths (2 by default)
help-option-hard-volume = Volume that is never exceeded (110 % of the contracted volume by default)
help-option-key-mode = Who holds the keys: customer_held (default) or provider_held
help-option-contact = Whom to call when something is refused
help-option-subscription = Reference of the order form
help-option-role = Role: admin, restore or read_only; with --operator: operator or read_only
help-option-until = Last day of the role, such as 2027-12-31
help-option-check-method = How the identity was checked
help-option-check-reference = Reference of that check
help-option-only-source = The only source that the agent may set up
help-option-hours = Hours that it is good for, 24 at most
help-argument-shell = Shell: bash, zsh or fish
help-option-confirm = Reference given in advance, for a script
help-argument-reference = Reference
help-argument-customer-name = Name of the customer
help-argument-identifier = Identifier to log in with
help-argument-agent = Id of the agent, 32 hexadecimal digits
help-option-operator-account = An account of the provider's staff

admin-logged-in = { $identifier } is logged in to { $server }.
admin-logged-out = The login is ended.
admin-not-logged-in = Nobody is logged in. Start with "dobaas-admin login --server … --fingerprint … --identifier …".
admin-state-damaged = The login file { $path } cannot be read. Remove it and log in again.
admin-no-connection = No trusted connection to the server. Check address and fingerprint, and this machine's clock. ({ $cause })
admin-call-failed = The call failed: { $cause }
admin-unknown-kind = "{ $name }" is not one of the contract's source kinds. The list is closed: { $list }
admin-confirm = This cannot be undone. To confirm, type { $reference }:
admin-not-confirmed = Nothing was done: { $reference } was not confirmed.
admin-customer-created = The customer { $reference } is recorded.
admin-subscription-created = The subscription { $reference } is made.
admin-password-once = Identifier: { $identifier }
    Default password, shown this once, good for 30 days:
      { $password }
admin-token-once = One-use enrolment token, shown this once, good for { $hours } h:
      { $token }
admin-agent-revoked = The agent { $agent } is revoked.
admin-agent-may-restore = The agent { $agent } may restore content.
admin-agent-may-not-restore = The agent { $agent } may no longer restore content.
admin-default-password = default
admin-own-password = chosen

admin-head-reference = Reference
admin-head-name = Name
admin-head-created = Created
admin-head-customer = Customer
admin-head-volume = Contracted volume
admin-head-used = Used volume
admin-head-changed = Changed today
admin-head-snapshots = Snapshots
admin-head-state = State
admin-head-subscription = Subscription
admin-head-hard-volume = Hard volume
admin-head-history = History (days)
admin-head-per-mille = Daily change
admin-head-key-mode = Keys
admin-head-sources = Sources
admin-head-contact = Contact
admin-head-identifier = Identifier
admin-head-role = Role
admin-head-ends = Role ends
admin-head-last-login = Last login
admin-head-password = Password
admin-head-agent = Agent
admin-head-host = Machine
admin-head-enrolled = Enrolled
admin-head-seen = Seen

subscription-state-active = active
subscription-state-suspended = suspended
subscription-state-ended = ended
agent-state-active = active
agent-state-revoked = revoked
agent-state-replaced = replaced
key-mode-customer-held = held by the customer
key-mode-provider-held = held by the provider too
role-admin = administrator
role-restore = restore
role-read-only = read only
role-operator = operator

help-admin-account-networks = Limits an operator to networks, or lifts that limit with --anywhere
help-admin-relocation = Where the data is: consents of customers, relocations
help-admin-relocation-consent = Records a customer's written consent to another country of the European Union
help-admin-relocation-list = Shows the declared place, the consents and the relocations
help-admin-relocation-move = Records a relocation, which the customer will read; refused without a consent received before
help-argument-network = Network, for example 192.0.2.0/24; may be given several times
help-option-anywhere = From anywhere
help-option-relocation-country = Country, two letters: FR, BE, DE
help-option-relocation-source = The only source that it is about (everything otherwise)
help-option-means = How the consent arrived: email or letter
help-option-consent-received = Day on which it was received
help-option-on = Day of the relocation

admin-confirm-grave = The customer will feel it at once. To confirm, type “{ $reference }”:
admin-account-ended = The account { $identifier } has ended: its sessions are closed and it cannot log in any more.
admin-account-ends = The account { $identifier } cannot log in from { $date } on.
admin-account-open = The account { $identifier } is open, without an end. If it had ended, its password is still the same.
admin-networks-set = { $identifier } may now come from { $networks } only.
admin-networks-anywhere = { $identifier } may come from anywhere.
admin-head-networks = Networks
admin-head-country = Country
admin-head-scope = What
admin-head-consented = Received on
admin-head-to = To
admin-head-moves = On
admin-head-consent = Consent no.
relocation-consent-recorded = Consent no. { $number } is recorded.
relocation-recorded = Relocation no. { $number } to { $site } ({ $country }) is recorded for { $day }, and the customer can read it. It moves nothing: as long as this server keeps the data, it announces its own place.
relocation-declared = This server keeps the data in { $site }, { $country } ({ $owner }).
relocation-everything = everything
relocation-state-planned = planned
relocation-state-done = done
relocation-state-due = to be done: the data is still here
consent-means-email = e-mail
consent-means-letter = letter

admin-not-found = { $what ->
    [approval] No pending request allows this. Record one first ("dobaas-admin approval propose"), have another operator approve it, then try again. "dobaas-admin approval list" shows the requests.
   *[other] { $object }: not found. Check the reference or the number; the commands "list" show what exists.
}
admin-object = { $what ->
    [none] The object
    [customer] This customer
    [subscription] This subscription
    [account] This account
    [agent] This agent
    [source] This source
    [scope] This scope
    [set] This backup set
    [session] This session
    [snapshot] This snapshot
    [protection] This protection
    [reevaluation] This re-evaluation file
    [amendment] This amendment
    [suspension] This suspension
    [maintenance] This maintenance
   *[other] { $what }
}
place-owner-provider = the provider
place-owner-third-party = a third party
