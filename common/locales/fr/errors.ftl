### Une entrée par code d'erreur : ce qui s'est passé, puis ce qu'il faut faire. Un paramètre absent vaut « none ».

error-unspecified = Le serveur a refusé sans dire pourquoi. Mettez l'agent à jour ; si cela se reproduit, appelez votre prestataire.
error-internal = Le serveur a rencontré une erreur interne. Votre prestataire doit regarder son journal ; réessayez plus tard.
error-invalid-argument = La demande est refusée : { $field ->
    [none] une valeur
   *[other] « { $field } »
} n'est pas valable{ $reason ->
    [none] {""}
    [amendment] {" "}(ce genre d'opération passe par un avenant)
    [ambiguous] {" "}(plusieurs objets commencent ainsi : donnez plus de caractères)
    [contradiction] {" "}(deux options se contredisent)
    [count] {" "}(il y en a trop)
    [date] {" "}(une date s'écrit 2026-11-22)
    [empty] {" "}(il n'y a rien dont ce serait possible)
    [ended] {" "}(l'abonnement est terminé)
    [future] {" "}(la date est dans l'avenir)
    [keyring] {" "}(cette génération du trousseau ne suit pas la précédente)
    [kind] {" "}(ce genre de source n'est pas prévu au contrat)
    [length] {" "}(trop long ou trop court)
    [missing] {" "}(il manque)
    [name] {" "}(vide, trop long ou avec des caractères interdits)
    [network] {" "}(un réseau s'écrit 192.0.2.0/24)
    [operator] {" "}(ce rôle ou cet abonnement ne va pas avec un compte d'opérateur)
    [own_account] {" "}(c'est votre propre compte : demandez à un autre opérateur)
    [own_address] {" "}(vous vous fermeriez la porte : votre adresse actuelle n'y est pas)
    [past] {" "}(la date est déjà passée)
    [place] {" "}(ce travail n'existe pas à cet endroit)
    [range] {" "}(hors des limites permises)
    [short] {" "}(trop court : donnez au moins quatre caractères)
    [too_far] {" "}(la date est trop lointaine)
    [too_long] {" "}(la durée est trop longue : 31 jours au plus)
    [unknown] {" "}(valeur inconnue)
    [not_available] {" "}(pas disponible dans cette version)
    [not_approved] {" "}(aucun autre opérateur n'a encore approuvé la demande)
    [not_due] {" "}(la demande ne peut être exécutée qu'à partir du { $until })
   *[other] {" "}({ $reason })
}. Corrigez la valeur et recommencez.
error-unauthenticated = Cette machine ou cette personne n'est pas reconnue, ou son accès a expiré ou a été révoqué. Reconnectez-vous ; pour une machine, relancez « dobaas setup ».
error-wrong-credentials = Identifiant ou mot de passe incorrect. Vérifiez-les ; un mot de passe oublié se fait réinitialiser par votre prestataire.
error-too-many-attempts = Trop d'essais de connexion. Attendez { $retry_s ->
    [none] quelques minutes
   *[other] { $retry_s }
}, puis réessayez.
error-must-change-password = Le mot de passe provisoire doit être changé avant tout le reste. Choisissez-en un nouveau d'au moins 12 caractères.
error-default-password-expired = Le mot de passe provisoire a expiré. Demandez-en un nouveau à votre prestataire.
error-weak-password = Ce mot de passe est refusé : { $reason ->
    [short] il est trop court
    [default] c'est le mot de passe provisoire
    [identifier] il est identique à l'identifiant
    [common] il figure parmi les plus courants
   *[other] il est trop facile à deviner
}. Choisissez-en un autre d'au moins 12 caractères.
error-permission-denied = Vos droits ne suffisent pas{ $role ->
    [none] {""}
    [second_operator] {" "}: il faut le rôle de second opérateur
   *[other] {" "}: il faut le rôle « { $role } »
}. Demandez à une personne qui l'a, ou à votre prestataire.
error-not-found = { $what ->
    [none] L'objet demandé
    [customer] Ce client
    [subscription] Cet abonnement
    [account] Ce compte
    [agent] Cet agent
    [source] Cette source
    [scope] Ce périmètre
    [set] Ce jeu de sauvegarde
    [session] Cette session
    [approval] Cette demande
    [snapshot] Cette sauvegarde
    [protection] Cette protection
    [reevaluation] Ce dossier de réévaluation
   *[other] { $what }
} : introuvable dans cet abonnement. Vérifiez le nom ou la date ; « dobaas dates » montre ce qui existe.
error-already-exists = { $what ->
    [none] Cet objet
    [customer] Ce client
    [subscription] Cet abonnement
    [account] Ce compte
    [agent] Cet agent
    [source] Cette source
    [scope] Ce périmètre
    [set] Ce jeu de sauvegarde
    [session] Cette session
    [approval] Cette demande
    [snapshot] Cette sauvegarde
    [protection] Cette protection
   *[other] { $what }
} : existe déjà. Choisissez un autre nom ou modifiez ce qui existe.
error-source-not-contracted = La source { $source ->
    [none] demandée
   *[other] « { $source } »
} ne figure pas sur le bon de commande. Choisissez une source prévue au contrat, ou demandez un avenant à votre prestataire.
error-quota-exceeded = Envoi refusé : { $limit ->
    [hard_volume] le volume maximal du contrat
    [first_backup] le volume permis avant la première sauvegarde complète
    [reseed] le volume permis en 30 jours pour relire les gros fichiers en entier
   *[other] le volume de changements permis aujourd'hui
} est atteint ({ $used_bytes ->
    [none] ?
   *[other] { $used_bytes }
} sur { $allowed_bytes ->
    [none] ?
   *[other] { $allowed_bytes }
}{ $since ->
    [none] {""}
   *[other] , depuis le { $since }
}). Ce qui est déjà sauvegardé reste accessible. { $contact ->
    [none] Appelez votre prestataire.
   *[other] Appelez votre prestataire : { $contact }.
}
error-suspended = { $reason ->
    [ended] L'abonnement est terminé : aucune nouvelle sauvegarde n'est acceptée, rien n'est supprimé, les restaurations restent possibles
    [unpaid] L'abonnement est suspendu pour factures impayées : aucune nouvelle sauvegarde n'est acceptée, rien n'est supprimé, les restaurations restent possibles
    [security] L'abonnement est suspendu pour raison de sécurité : sauvegardes et restaurations sont fermées, rien n'est supprimé
    [authority_request] L'abonnement est suspendu à la demande d'une autorité : sauvegardes et restaurations sont fermées, rien n'est supprimé
   *[other] L'abonnement est suspendu : aucune nouvelle sauvegarde n'est acceptée, rien n'est supprimé
}{ $until ->
    [none] {""}
   *[other] {" "}(jusqu'au { $until })
}. Appelez votre prestataire.
error-maintenance = Le serveur est en maintenance{ $until ->
    [none] {""}
   *[other] {" "}jusqu'au { $until }
}. L'agent réessaiera de lui-même{ $retry_s ->
    [none] {""}
   *[other] {" "}dans { $retry_s }
}.
error-overloaded = Le serveur est très occupé. L'agent réessaiera de lui-même{ $retry_s ->
    [none] {""}
   *[other] {" "}dans { $retry_s }
}.
error-store-full = Le stockage du serveur est plein : aucune nouvelle donnée n'est acceptée, les restaurations restent possibles. Prévenez votre prestataire.
error-store-suspect = Une écriture a échoué sur le serveur, qui n'accepte plus rien avant vérification. Prévenez votre prestataire ; ce qui a un reçu est sauvegardé.
error-session-unknown = Cette session de sauvegarde a expiré ou a été remplacée. Relancez la sauvegarde : ce qui est déjà sur le serveur ne sera pas renvoyé.
error-session-superseded = Une autre exécution de la même source est en cours avec l'identité de cet agent. Si la machine a été clonée, lancez « dobaas setup » sur la copie.
error-protocol-version = Cette version de l'agent n'est pas comprise par le serveur{ $min ->
    [none] {""}
   *[other] {" "}(protocole { $min } à { $max })
}. Installez la version indiquée par votre prestataire.
error-location-refused = { $reason ->
    [no_consent] Déplacement refusé : aucun accord écrit du client pour { $location } n'a été reçu avant ce jour. Enregistrez-le d'abord avec « dobaas-admin relocation consent »
    [outside_eu] Déplacement refusé : { $location } est hors de l'Union européenne, ce que le contrat exclut
    [third_party] Déplacement refusé : les machines d'un tiers sont exclues par le contrat
    [missing] Déplacement refusé : « { $location } » n'est pas déclaré
   *[other] Les données seraient stockées hors du lieu prévu{ $location ->
        [none] {""}
       *[other] {" "}({ $location })
    } : rien n'a été envoyé. Appelez votre prestataire
}.
error-network-refused = Ce compte d'opérateur ne peut pas être utilisé depuis cette adresse. Appelez depuis un réseau autorisé, ou faites modifier la liste par un autre opérateur.
error-damaged = { $object ->
    [none] Un objet stocké
   *[other] { $object }
} : données endommagées sur le serveur. Le reste de la sauvegarde est lisible ; prévenez votre prestataire et relancez une sauvegarde.
error-limit-exceeded = Une limite est dépassée{ $limit ->
    [none] {""}
   *[other] {" "}: { $limit }
}{ $max ->
    [none] {""}
   *[other] {" "}(au plus { $max })
}. Réduisez la demande ou attendez un moment.
error-keyring-conflict = Le trousseau a changé entre-temps{ $number ->
    [none] {""}
   *[other] {" "}(génération { $number })
}. Recommencez : l'état le plus récent sera relu.
error-set-conflict = Le jeu de sauvegarde a changé entre-temps{ $version ->
    [none] {""}
   *[other] {" "}(version { $version })
}. Recommencez : l'état le plus récent sera relu.
