### Textes : dobaas-admin.

help-dobaas-admin = Administration du service de sauvegarde Do'BaaS
help-admin-login = Ouvre une session ; un mot de passe provisoire est changé dans la foulée
help-admin-password = Change votre propre mot de passe ; vos autres sessions sont fermées
help-admin-logout = Ferme la session
help-admin-customer = Clients
help-admin-customer-create = Enregistre un client
help-admin-customer-list = Liste les clients
help-admin-subscription = Abonnements et bons de commande
help-admin-subscription-create = Enregistre un bon de commande et crée l'abonnement
help-admin-subscription-list = Liste les abonnements
help-admin-subscription-show = Montre un abonnement en entier
help-admin-account = Comptes des clients et des opérateurs
help-admin-account-create = Crée un compte ; son mot de passe provisoire est affiché une seule fois
help-admin-account-list = Liste les comptes
help-admin-account-reset = Donne un nouveau mot de passe provisoire après contrôle d'identité
help-admin-account-end = Termine un compte : ses sessions se ferment, il ne peut plus se connecter, rien n'est supprimé
help-admin-account-reopen = Rouvre un compte terminé, ou repousse sa fin
help-option-reason-account = Motif, gardé au journal d'audit
help-option-after = Dernier jour où le compte peut servir ; sans cela, il se termine tout de suite
help-admin-agent = Agents d'un abonnement
help-admin-agent-list = Liste les agents
help-admin-agent-revoke = Révoque un agent : son jeton ne vaut plus rien
help-admin-agent-token = Crée un jeton d'enregistrement à usage unique, affiché une seule fois
help-admin-agent-allow = Autorise un agent à restaurer du contenu sans personne
help-admin-agent-forbid = Retire cette autorisation
help-option-state = Dossier de la session (sinon $XDG_STATE_HOME/dobaas-admin)
help-option-server = Adresse du serveur, https://hôte:port
help-option-fingerprint = Empreinte SHA-256 de la racine du prestataire
help-option-identifier = Identifiant de l'opérateur
help-option-password-file = Mot de passe : première ligne de ce fichier
help-option-password-command = Mot de passe : première ligne qu'écrit cette commande
help-option-password-fd = Mot de passe : première ligne de ce descripteur
help-option-new-password-file = Nouveau mot de passe, si le provisoire doit être changé : première ligne de ce fichier
help-option-new-password-command = Nouveau mot de passe : première ligne qu'écrit cette commande
help-option-new-password-fd = Nouveau mot de passe : première ligne de ce descripteur
help-option-customer = Référence du client
help-option-volume = Volume souscrit, par exemple 500Go ou 1,5To
help-option-history = Historique, en jours
help-option-source = Source commandée, TYPE:NOM, par exemple files:bureautique ; plusieurs fois possible
help-option-per-mille = Changement quotidien permis, en millièmes (2 par défaut)
help-option-hard-volume = Volume jamais dépassé (110 % du volume souscrit par défaut)
help-option-key-mode = Qui détient les clés : customer_held (par défaut) ou provider_held
help-option-contact = Qui appeler quand un envoi est refusé
help-option-subscription = Référence du bon de commande
help-option-role = Rôle : admin, restore ou read_only ; avec --operator : operator ou read_only
help-option-until = Dernier jour du rôle, par exemple 2027-12-31
help-option-check-method = Comment l'identité a été contrôlée
help-option-check-reference = Référence de ce contrôle
help-option-only-source = Seule source que l'agent pourra installer
help-option-hours = Durée de validité en heures, 24 au plus
help-argument-shell = Interpréteur : bash, zsh ou fish
help-option-confirm = Référence tapée d'avance, pour un script
help-argument-reference = Référence
help-argument-customer-name = Nom du client
help-argument-identifier = Identifiant de connexion
help-argument-agent = Identifiant de l'agent, 32 chiffres hexadécimaux
help-option-operator-account = Compte d'opérateur du prestataire

admin-logged-in = { $identifier } est connecté à { $server }.
admin-logged-out = La session est fermée.
admin-not-logged-in = Personne n'est connecté. Commencez par « dobaas-admin login --server … --fingerprint … --identifier … ».
admin-state-damaged = Le fichier de session { $path } n'est pas lisible. Supprimez-le et reconnectez-vous.
admin-no-connection = Pas de connexion fiable au serveur. Vérifiez l'adresse, l'empreinte et l'horloge de cette machine. ({ $cause })
admin-call-failed = L'appel a échoué : { $cause }
admin-unknown-kind = « { $name } » ne fait pas partie des types de sources du contrat. La liste est fermée : { $list }
admin-confirm = C'est irréversible. Pour confirmer, tapez « { $reference } » :
admin-not-confirmed = Rien n'a été fait : « { $reference } » n'a pas été confirmé.
admin-customer-created = Le client { $reference } est enregistré.
admin-subscription-created = L'abonnement { $reference } est créé.
admin-password-once = Identifiant : { $identifier }
    Mot de passe provisoire, affiché cette seule fois, valable 30 jours :
      { $password }
admin-token-once = Jeton d'enregistrement à usage unique, affiché cette seule fois, valable { $hours } h :
      { $token }
admin-agent-revoked = L'agent { $agent } est révoqué.
admin-agent-may-restore = L'agent { $agent } peut restaurer du contenu.
admin-agent-may-not-restore = L'agent { $agent } ne peut plus restaurer de contenu.
admin-default-password = provisoire
admin-own-password = choisi

admin-head-reference = Référence
admin-head-name = Nom
admin-head-created = Créé le
admin-head-customer = Client
admin-head-volume = Volume souscrit
admin-head-used = Volume utilisé
admin-head-changed = Modifié aujourd'hui
admin-head-snapshots = Sauvegardes
admin-head-state = État
admin-head-subscription = Abonnement
admin-head-hard-volume = Volume maximal
admin-head-history = Historique (jours)
admin-head-per-mille = Changement quotidien
admin-head-key-mode = Clés
admin-head-sources = Sources
admin-head-contact = Contact
admin-head-identifier = Identifiant
admin-head-role = Rôle
admin-head-ends = Fin du rôle
admin-head-last-login = Dernière connexion
admin-head-password = Mot de passe
admin-head-agent = Agent
admin-head-host = Machine
admin-head-enrolled = Enregistré le
admin-head-seen = Vu le

subscription-state-active = actif
subscription-state-suspended = suspendu
subscription-state-ended = terminé
agent-state-active = actif
agent-state-revoked = révoqué
agent-state-replaced = remplacé
key-mode-customer-held = détenues par le client
key-mode-provider-held = détenues aussi par le prestataire
role-admin = administrateur
role-restore = restauration
role-read-only = lecture seule
role-operator = opérateur

help-admin-account-networks = Limite un opérateur à des réseaux, ou lève cette limite avec --anywhere
help-admin-relocation = Lieu des données : accords des clients, déplacements
help-admin-relocation-consent = Enregistre l'accord écrit d'un client pour un autre pays de l'Union européenne
help-admin-relocation-list = Montre le lieu déclaré, les accords et les déplacements
help-admin-relocation-move = Enregistre un déplacement, que le client lira ; refusé sans accord reçu avant
help-argument-network = Réseau, par exemple 192.0.2.0/24 ; plusieurs fois possible
help-option-anywhere = De partout
help-option-relocation-country = Pays, deux lettres : FR, BE, DE
help-option-relocation-source = Seule source concernée (sinon tout)
help-option-means = Comment l'accord est arrivé : email ou letter
help-option-consent-received = Jour où il a été reçu
help-option-on = Jour du déplacement

admin-confirm-grave = Le client le ressentira aussitôt. Pour confirmer, tapez « { $reference } » :
admin-account-ended = Le compte { $identifier } est terminé : ses sessions sont fermées et il ne peut plus se connecter.
admin-account-ends = Le compte { $identifier } ne pourra plus se connecter à partir du { $date }.
admin-account-open = Le compte { $identifier } est ouvert, sans date de fin. S'il avait été terminé, son mot de passe est resté le même.
admin-networks-set = { $identifier } ne peut plus venir que de { $networks }.
admin-networks-anywhere = { $identifier } peut venir de partout.
admin-head-networks = Réseaux
admin-head-country = Pays
admin-head-scope = Quoi
admin-head-consented = Reçu le
admin-head-to = Vers
admin-head-moves = Le
admin-head-consent = Accord n°
relocation-consent-recorded = L'accord n° { $number } est enregistré.
relocation-recorded = Le déplacement n° { $number } vers { $site } ({ $country }) est enregistré pour le { $day }, et visible du client. Il ne déplace rien : tant que ce serveur garde les données, c'est son propre lieu qu'il annonce.
relocation-declared = Ce serveur garde les données à { $site }, { $country } ({ $owner }).
relocation-everything = tout
relocation-state-planned = prévu
relocation-state-done = fait
relocation-state-due = à faire : les données sont encore ici
consent-means-email = courriel
consent-means-letter = lettre

admin-not-found = { $what ->
    [approval] Aucune demande en cours ne permet cela. Enregistrez-la d'abord (« dobaas-admin approval propose »), faites-la approuver par un autre opérateur, puis recommencez. « dobaas-admin approval list » montre les demandes.
   *[other] { $object } : introuvable. Vérifiez la référence ou le numéro ; les commandes « list » montrent ce qui existe.
}
admin-object = { $what ->
    [none] L'objet demandé
    [customer] Ce client
    [subscription] Cet abonnement
    [account] Ce compte
    [agent] Cet agent
    [source] Cette source
    [scope] Ce périmètre
    [set] Ce jeu de sauvegarde
    [session] Cette session
    [snapshot] Cette sauvegarde
    [protection] Cette protection
    [reevaluation] Ce dossier de réévaluation
    [amendment] Cet avenant
    [suspension] Cette suspension
    [maintenance] Cette maintenance
   *[other] { $what }
}
place-owner-provider = le prestataire
place-owner-third-party = un tiers
