### One entry per error code: what happened, then what to do. An absent parameter reads "none".

error-unspecified = The server refused without saying why. Update the agent; if it happens again, call your provider.
error-internal = The server met an internal error. Your provider must look at its log; try again later.
error-invalid-argument = The request is refused: { $field ->
    [none] a value
   *[other] { $field }
} is not valid{ $reason ->
    [none] {""}
    [amendment] {" "}(an operation of this kind is made by an amendment)
    [ambiguous] {" "}(several objects begin like this: give more characters)
    [contradiction] {" "}(two options contradict each other)
    [count] {" "}(there are too many)
    [date] {" "}(a date is written 2026-11-22)
    [empty] {" "}(there is nothing for which this is possible)
    [ended] {" "}(the subscription has ended)
    [future] {" "}(the date is in the future)
    [keyring] {" "}(this generation of the keyring does not follow the previous one)
    [kind] {" "}(the contract does not know this kind of source)
    [length] {" "}(too long or too short)
    [missing] {" "}(it is missing)
    [name] {" "}(empty, too long or with forbidden characters)
    [network] {" "}(a network is written 192.0.2.0/24)
    [operator] {" "}(this role or subscription does not go with an operator's account)
    [own_account] {" "}(this is your own account: ask another operator)
    [own_address] {" "}(you would lock yourself out: your present address is not among them)
    [past] {" "}(the date is already past)
    [place] {" "}(this job does not exist in this place)
    [range] {" "}(outside the allowed limits)
    [short] {" "}(too short: give at least four characters)
    [too_far] {" "}(the date is too far away)
    [too_long] {" "}(it lasts too long: 31 days at most)
    [unknown] {" "}(unknown value)
    [not_available] {" "}(not available in this version)
    [not_approved] {" "}(no other operator has approved the request yet)
    [not_due] {" "}(the request may be carried out from { $until } on only)
   *[other] {" "}({ $reason })
}. Correct the value and try again.
error-unauthenticated = This machine or person is not known, or its access has expired or was revoked. Log in again; for a machine, run "dobaas setup" again.
error-wrong-credentials = Wrong identifier or password. Check them; your provider resets a forgotten password.
error-too-many-attempts = Too many login attempts. Wait { $retry_s ->
    [none] a few minutes
   *[other] { $retry_s }
}, then try again.
error-must-change-password = The temporary password must be changed before anything else. Choose one of at least 12 characters.
error-default-password-expired = The temporary password has expired. Ask your provider for another one.
error-weak-password = This password is refused: { $reason ->
    [short] it is too short
    [default] it is the temporary password
    [identifier] it is the same as the identifier
    [common] it is among the most common ones
   *[other] it is too easy to guess
}. Choose another one of at least 12 characters.
error-permission-denied = Your rights are not sufficient{ $role ->
    [none] {""}
    [second_operator] : the role of second operator is needed
   *[other] : the role "{ $role }" is needed
}. Ask a person who has it, or your provider.
error-not-found = { $what ->
    [none] The object
    [customer] This customer
    [subscription] This subscription
    [account] This account
    [agent] This agent
    [source] This source
    [scope] This scope
    [set] This backup set
    [session] This session
    [approval] This request
    [snapshot] This snapshot
    [protection] This protection
    [reevaluation] This re-evaluation file
   *[other] { $what }
}: not found in this subscription. Check the name or the date; "dobaas dates" shows what exists.
error-already-exists = { $what ->
    [none] This object
    [customer] This customer
    [subscription] This subscription
    [account] This account
    [agent] This agent
    [source] This source
    [scope] This scope
    [set] This backup set
    [session] This session
    [approval] This request
    [snapshot] This snapshot
    [protection] This protection
   *[other] { $what }
}: already exists. Choose another name or change what exists.
error-source-not-contracted = The source { $source ->
    [none] that was asked for
   *[other] "{ $source }"
} is not on the order form. Choose a contracted source, or ask your provider for an amendment.
error-quota-exceeded = Refused: { $limit ->
    [hard_volume] the largest volume of the contract
    [first_backup] the volume allowed before the first complete backup
    [reseed] the volume allowed in 30 days for reading large files again
   *[other] the volume of changes allowed today
} is reached ({ $used_bytes ->
    [none] ?
   *[other] { $used_bytes }
} of { $allowed_bytes ->
    [none] ?
   *[other] { $allowed_bytes }
}{ $since ->
    [none] {""}
   *[other] , since { $since }
}). What is already backed up stays available. { $contact ->
    [none] Call your provider.
   *[other] Call your provider: { $contact }.
}
error-suspended = { $reason ->
    [ended] The subscription has ended: no new backup is accepted, nothing is deleted, restores stay possible
    [unpaid] The subscription is suspended for unpaid bills: no new backup is accepted, nothing is deleted, restores stay possible
    [security] The subscription is suspended for security: backups and restores are closed, nothing is deleted
    [authority_request] The subscription is suspended at the request of an authority: backups and restores are closed, nothing is deleted
   *[other] The subscription is suspended: no new backup is accepted, nothing is deleted
}{ $until ->
    [none] {""}
   *[other] {" "}(until { $until })
}. Call your provider.
error-maintenance = The server is under maintenance{ $until ->
    [none] {""}
   *[other] {" "}until { $until }
}. The agent tries again by itself{ $retry_s ->
    [none] {""}
   *[other] {" "}in { $retry_s }
}.
error-overloaded = The server is very busy. The agent tries again by itself{ $retry_s ->
    [none] {""}
   *[other] {" "}in { $retry_s }
}.
error-store-full = The server's storage is full: no new data is accepted, restoring still works. Tell your provider.
error-store-suspect = A write failed on the server, which accepts nothing more until it is checked. Tell your provider; whatever has a receipt is backed up.
error-session-unknown = This backup session has expired or was replaced. Run the backup again: what the server already has is not sent again.
error-session-superseded = Another run of the same source is at work with this agent's identity. If the machine was cloned, run "dobaas setup" on the copy.
error-protocol-version = The server does not understand this version of the agent{ $min ->
    [none] {""}
   *[other] {" "}(protocol { $min } to { $max })
}. Install the version that your provider names.
error-location-refused = { $reason ->
    [no_consent] Relocation refused: no written consent of the customer to { $location } was received before that day. Record it first with "dobaas-admin relocation consent"
    [outside_eu] Relocation refused: { $location } is outside the European Union, which the contract excludes
    [third_party] Relocation refused: machines of a third party are excluded by the contract
    [missing] Relocation refused: "{ $location }" is not declared
   *[other] The data would be stored outside the agreed place{ $location ->
        [none] {""}
       *[other] {" "}({ $location })
    }: nothing was sent. Call your provider
}.
error-network-refused = This operator account cannot be used from this address. Call from an allowed network, or have another operator change the list.
error-damaged = { $object ->
    [none] A stored object
   *[other] { $object }
}: damaged data on the server. The rest of the backup can be read; tell your provider and run a backup again.
error-limit-exceeded = A limit is exceeded{ $limit ->
    [none] {""}
   *[other] : { $limit }
}{ $max ->
    [none] {""}
   *[other] {" "}(at most { $max })
}. Ask for less or wait a moment.
error-keyring-conflict = The keyring has changed in the meantime{ $number ->
    [none] {""}
   *[other] {" "}(generation { $number })
}. Try again: the newest state will be read.
error-set-conflict = The backup set has changed in the meantime{ $version ->
    [none] {""}
   *[other] {" "}(version { $version })
}. Try again: the newest state will be read.
