### Textes : alarmes (messages, tableaux) et leur configuration.

alarm-subject = [Do'BaaS] Alarme : { $title } ({ $about })
alarm-subject-ended = [Do'BaaS] Fin d'alarme : { $title } ({ $about })
alarm-digest-subject = [Do'BaaS] { $count } messages d'alarme
alarm-test-subject = [Do'BaaS] Essai des alarmes
alarm-test-body = Un opérateur essaie l'envoi des alarmes. Ce message est arrivé : il n'y a rien à faire.
alarm-about-server = serveur
alarm-about = Concerne : { $about }
alarm-raised = L'alarme a commencé le { $since }.
alarm-reminder = Rappel : l'alarme dure depuis le { $since }.
alarm-ended = L'alarme, commencée le { $since }, est terminée.

alarm-late-title = sauvegarde en retard
alarm-late-sentence = La source « { $subject } » n'a pas de sauvegarde complète dans le délai prévu, qui s'est terminé le { $at }.
alarm-late-advice = Vérifiez que la machine est allumée, que l'agent y tourne et qu'il joint le serveur : « dobaas-admin agent list » dit quand il a appelé pour la dernière fois.
alarm-late-customer = Vérifiez que la machine est allumée et reliée au réseau, puis lancez « dobaas status » dessus. En cas de doute, appelez votre prestataire.
alarm-quota-over-title = modification quotidienne dépassée
alarm-quota-over-sentence = Le { $subject }, { $used } ont changé ou devaient être envoyés, pour { $allowed } prévus au bon de commande.
alarm-quota-over-advice = Regardez les sources responsables (« dobaas-admin quota show »). Un excès soudain et massif peut être l'effet d'un logiciel de rançon.
alarm-quota-over-customer = Si ce changement est attendu (mise à jour, import), il n'y a rien à faire. Sinon, appelez votre prestataire sans attendre : un excès soudain peut être l'effet d'un logiciel de rançon.
alarm-quota-near-title = modification quotidienne proche de la limite
alarm-quota-near-sentence = Le { $subject }, { $used } ont changé pour { $allowed } prévus au bon de commande : 80 % ou plus.
alarm-quota-near-advice = Regardez les sources responsables (« dobaas-admin quota show »).
alarm-quota-near-customer = Si ce changement est attendu, il n'y a rien à faire. Sinon, appelez votre prestataire.
alarm-volume-over-title = volume contractuel dépassé
alarm-volume-over-sentence = Les dernières sauvegardes font { $used } pour { $allowed } au bon de commande.
alarm-volume-over-advice = Ouvrez la réévaluation avec le client, ou réduisez les jeux de sauvegarde avec lui.
alarm-volume-over-customer = Prenez contact avec votre prestataire pour réévaluer le volume, ou réduisez ce que vos jeux de sauvegarde contiennent.
alarm-reevaluation-title = dossier de réévaluation ouvert
alarm-reevaluation-sentence = Le dossier n° { $subject }, ouvert le { $at }, attend une décision. Au plus haut : { $used } pour { $allowed } prévus.
alarm-reevaluation-advice = « dobaas-admin reevaluation show » donne les jours et le volume suggéré. Convenez d'une suite avec le client, puis « dobaas-admin reevaluation close ».
alarm-hold-title = sauvegarde suspecte
alarm-hold-sentence = Une sauvegarde de la source « { $subject } » est suspecte depuis le { $at } : rien n'est plus purgé pour cet abonnement.
alarm-hold-advice = Appelez le client, regardez les signaux, puis levez la retenue à deux opérateurs s'il n'y a pas d'attaque.
alarm-hold-customer = Beaucoup de données ont changé d'un coup. Si vous ne l'expliquez pas, isolez la machine et appelez votre prestataire ; vos sauvegardes antérieures sont conservées.
alarm-damaged-title = données stockées endommagées
alarm-damaged-sentence = { $used } objets stockés de cet abonnement sont endommagés.
alarm-damaged-advice = Vérifiez le disque. La prochaine sauvegarde renvoie ce qui manque si la source l'a encore ; la vérification liste les sauvegardes touchées.
alarm-scrub-late-title = vérification du stockage en retard
alarm-scrub-late-sentence = Un objet stocké devait être relu au plus tard le { $at }.
alarm-scrub-late-advice = Regardez les travaux d'entretien : la vérification est peut-être suspendue ou trop lente pour ce volume.
alarm-pruning-stopped-title = purge arrêtée
alarm-pruning-stopped-sentence = La purge attend un opérateur depuis le { $at }{ $subject ->
    [none] {""}
   *[other] {" "}({ $subject })
}.
alarm-pruning-stopped-advice = Rien n'est supprimé dans le doute. Regardez pourquoi, puis autorisez la purge.
alarm-store-nearly-full-title = stockage presque plein
alarm-store-nearly-full-sentence = Il reste { $used } de libre au-dessus de la réserve de { $allowed }.
alarm-store-nearly-full-advice = Agrandissez le disque. Sous la réserve, les nouvelles sauvegardes sont refusées ; restaurer et purger restent possibles.
alarm-store-suspect-title = stockage en écriture refusée
alarm-store-suspect-sentence = Une écriture a échoué : le stockage n'accepte plus rien, la lecture continue.
alarm-store-suspect-advice = Regardez le journal du système et le disque, puis redémarrez le serveur. Aucune sauvegarde n'est acceptée d'ici là.
alarm-certificate-ends-title = certificat bientôt expiré
alarm-certificate-ends-sentence = Un certificat présenté par le serveur ({ $subject }) expire le { $at }.
alarm-certificate-ends-advice = Le certificat du prestataire se renouvelle seul : s'il ne l'est pas, regardez le journal. Un certificat public se remplace dans les fichiers de la configuration.
alarm-counter-differs-title = compteur inexact
alarm-counter-differs-sentence = { $used } compteurs de cet abonnement diffèrent de leur recomptage.
alarm-counter-differs-advice = Rien n'est corrigé en silence : regardez le journal et signalez l'écart à l'éditeur.
alarm-claim-impossible-title = taille annoncée impossible
alarm-claim-impossible-sentence = La sauvegarde de la source « { $subject } » reçue le { $at } annonce { $allowed }, alors que { $used } de données nouvelles sont arrivées avec elle.
alarm-claim-impossible-advice = Volume et quota sont mesurés par le serveur et restent justes. Mais cet agent annonce faux : vérifiez la machine et la version de l'agent ; dans le doute, révoquez-le (« dobaas-admin agent revoke ») et réinstallez-le.
alarm-not-verified-title = sauvegardes jamais vérifiées par le client
alarm-not-verified-sentence = Aucun détenteur de clé n'a vérifié ni restauré la source « { $subject } » depuis le { $at }, soit plus de la moitié de l'historique.
alarm-not-verified-advice = Proposez au client un essai de restauration : lui seul peut prouver que ses sauvegardes se lisent.
alarm-control-copy-failed-title = copie des registres en échec
alarm-control-copy-failed-sentence = Les registres du prestataire (bons de commande, comptes, traces) n'ont pas été copiés dans le stockage depuis le { $at }.
alarm-control-copy-failed-advice = Regardez le journal et la place disponible, puis lancez « dobaas-server backup-control ».
alarm-unreadable-title = index d'abonnement illisible
alarm-unreadable-sentence = L'index de cet abonnement ne peut pas être lu : ni son état ni ses alarmes ne sont connus.
alarm-unreadable-advice = Regardez le journal. Les données stockées ne sont pas en cause : « dobaas-server rebuild » refait l'index.
alarm-channel-failing-title = alarmes non délivrées
alarm-channel-failing-sentence = { $used } messages attendent : l'envoi par « { $subject } » échoue depuis le { $at }.
alarm-channel-failing-advice = « dobaas-admin alarm list » dit pourquoi ; « dobaas-admin alarm test » essaie chaque voie.
alarm-job-failed-title = travail d'entretien en échec
alarm-job-failed-sentence = Le travail « { $subject } » a échoué le { $at }.
alarm-job-failed-advice = « dobaas-admin upkeep status » dit pourquoi ; il est réessayé toutes les heures.
alarm-upkeep-paused-title = entretien en pause
alarm-upkeep-paused-sentence = L'entretien est en pause depuis le { $at } : rien n'est relu ni purgé.
alarm-upkeep-paused-advice = Si la pause n'est plus utile : « dobaas-admin upkeep resume ».

alarm-channel-mail = courriel
alarm-channel-webhook = webhook
alarm-channel-command = commande
alarm-none = Aucune alarme en cours.
alarm-no-channel = Aucune voie d'envoi n'est configurée : voir [alarms] dans server.toml.
alarm-delivered = envoyé
alarm-failed = échec : { $cause }
alarm-not-delivered = Au moins une voie d'envoi a échoué : voir ci-dessus.
alarm-never = jamais
alarm-head-kind = Alarme
alarm-head-subscription = Abonnement
alarm-head-subject = Objet
alarm-head-since = Depuis
alarm-head-detail = Détail
alarm-head-channel = Voie
alarm-head-recipient = Destinataire
alarm-head-result = Résultat
alarm-head-delivered = Dernier envoi
alarm-head-queued = En attente
alarm-head-error = Dernière erreur
help-admin-alarm = Alarmes en cours et voies d'envoi
help-admin-alarm-list = Liste ce qui ne va pas, depuis quand, et l'état des voies d'envoi
help-admin-alarm-test = Envoie un message d'essai par chaque voie et dit ce que chacune a répondu

alarm-config-address = Alarmes : « { $value } » n'est pas une adresse de courriel ({ $field }).
alarm-config-operators = Alarmes : il faut au moins une adresse d'opérateur (alarms.mail.operators).
alarm-config-plain = Alarmes : sans chiffrement, le serveur de courriel doit être sur cette machine (alarms.mail.server : « { $value } »). Mettez encryption = "starttls" ou "tls".
alarm-config-login = Alarmes : alarms.mail.login et alarms.mail.password_file vont ensemble.
alarm-config-url = Alarmes : « { $value } » n'est pas une adresse http(s) utilisable (alarms.webhook.url).
alarm-config-url-plain = Alarmes : sans TLS, le webhook doit être sur cette machine (alarms.webhook.url : « { $value } »). Utilisez https.
alarm-config-program = Alarmes : alarms.command.program est une liste qui commence par le chemin absolu d'un programme (« { $value } »).
alarm-config-file = Alarmes : le fichier { $value } ({ $field }) ne peut pas être utilisé : { $cause }
alarm-config-secret-open = Alarmes : le secret { $value } ({ $field }) est lisible par d'autres que son propriétaire : chmod 600.

notice-subject = [Do'BaaS] { $title } ({ $about })
notice-title = { $topic ->
    [suspension] suspension de l'abonnement
    [resumed] fin de la suspension
    [maintenance] maintenance annoncée
    [maintenance_over] maintenance terminée ou annulée
    [amendment] avenant enregistré
    [amendment_withdrawn] avenant retiré
    [reevaluation_opened] dossier de réévaluation ouvert
    [reevaluation_closed] dossier de réévaluation fermé
    [relocation] lieu de vos données
    [password_reset] mot de passe réinitialisé
    [password_withdrawn] ancien mot de passe refusé
    [account_ended] fin d'un compte
    [account_reopened] compte rouvert
    [end] fin de l'abonnement
    [approval_shorten_history] historique raccourci
    [approval_lift_hold] levée de retenue demandée
    [approval_unprotect] fin d'une protection demandée
    [approval_destroy] destruction demandée
    [approval_delete_subscription] suppression de l'abonnement demandée
    [approval_prune_override] purge demandée
    [approval_expunge] effacement ciblé demandé
   *[other] information de votre prestataire
}
notice-sentence = { $topic ->
    [suspension] Votre prestataire a suspendu l'abonnement : aucune nouvelle sauvegarde n'est acceptée pendant ce temps, et rien n'est supprimé.
    [resumed] La suspension est terminée : les sauvegardes reprennent d'elles-mêmes.
    [maintenance] Pendant cette maintenance, les agents reportent leurs sauvegardes d'eux-mêmes ; ce ne sont pas des échecs.
    [maintenance_over] Les sauvegardes reprennent d'elles-mêmes.
    [amendment] Un avenant à votre bon de commande est enregistré.
    [amendment_withdrawn] Un avenant qui attendait ne s'appliquera pas.
    [reevaluation_opened] Un dossier de réévaluation de votre contrat est ouvert.
    [reevaluation_closed] Le dossier de réévaluation de votre contrat est fermé.
    [relocation] Un déplacement de vos données est enregistré.
    [password_reset] Après un contrôle d'identité, un opérateur a donné un nouveau mot de passe provisoire à ce compte ; ses sessions sont fermées. Si personne chez vous ne l'a demandé, appelez votre prestataire sans attendre.
    [password_withdrawn] Les registres de votre prestataire ont été remis dans un état plus ancien que le dernier mot de passe de ce compte. L'ancien n'est plus accepté : demandez un mot de passe provisoire à votre prestataire.
    [account_ended] Un opérateur a enregistré la fin de ce compte : à sa date, il ne peut plus se connecter et ses sessions se ferment. Les sauvegardes n'en dépendent pas. Si cela vous surprend, appelez votre prestataire.
    [account_reopened] Un opérateur a rouvert ce compte ou repoussé sa fin : il peut de nouveau se connecter avec son mot de passe. Si personne chez vous ne l'a demandé, appelez votre prestataire sans attendre.
    [end] La fin de l'abonnement est enregistrée ou annulée. Les données restent jusqu'à la réversibilité.
    [approval_shorten_history] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_lift_hold] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_unprotect] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_destroy] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_delete_subscription] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_prune_override] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
    [approval_expunge] Un opérateur demande cette opération. Un second doit l'approuver, puis sept jours passent. Si elle vous surprend, appelez votre prestataire.
   *[other] Votre prestataire vous informe de ce qui suit.
}
notice-detail = Détail : { $detail }
notice-amendment = n° { $which } ; ce qui change : { $fields }
notice-told = Enregistré le { $at }. « dobaas accesses » montre à tout moment ce que votre prestataire fait sur votre abonnement.

notice-reevaluation-opened = Dossier de réévaluation n° { $number } ouvert pour le { $day } : { $cause ->
    [growth] le périmètre du contrat s'étend ({ $allowed } → { $measured })
    [volume] { $measured } sauvegardés pour { $allowed } souscrits
    [refused] { $measured } à envoyer pour { $allowed } permis
   *[other] { $measured } modifiés pour { $allowed } permis
}. Votre prestataire vous contactera.
notice-reevaluation-closed = Dossier de réévaluation n° { $number } fermé : { $outcome ->
    [amended] un avenant change le contrat
    [reduced] ce qui est sauvegardé est réduit
   *[other] rien ne change
}.
