//! Digests of campaigns: real meetings stay apart, variants of one text come together.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use calspamd::calendar;
use calspamd::facts;
use calspamd::message::{self, Envelope};
use calspamd::reputation::campaign::{Digests, digest};

use crate::support::{assert_none, corpus, name, scan, stock};

/// Variants of each text.
const VARIANTS: usize = 200;

/// Of a hundred words so many are changed.
const CHANGED: u64 = 15;

/// Links read in one message.
const LINKS: usize = 500;

/// The digests of a message's events, with their words for a look at what has gone wrong.
fn digests(bytes: &[u8], bare: bool) -> Vec<(Digests, String)> {
    let envelope = Envelope::default();
    let message = message::parse(bytes, bare, &envelope, &message::Settings::default());
    let reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
    let facts = facts::gather(&message, &reading, &envelope, 1_795_168_800, LINKS);
    let text = |event: &facts::EventFacts<'_>| {
        event.texts.iter().map(facts::TextValue::normal).collect::<Vec<_>>().join("\n")
    };
    facts.events.iter().map(|event| (digest(event, &facts), text(event))).collect()
}

/// Two collections hold the same event now and then (examples of RFC 5545, of one vendor's
/// manual), whole or in part: those agree by right.
fn is_same(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (one, other) = (words(one), words(other));
    let both = one.intersection(&other).count();
    both > 0 && both * 10 >= one.len().min(other.len()) * 9
}

#[test]
fn different_meetings_of_the_corpus_are_no_campaign() {
    let Some(folder) = corpus() else { return };
    let index = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut events = Vec::new();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[1] != "ham" {
            continue;
        }
        let path = folder.join(fields[0]);
        let bytes = std::fs::read(&path).unwrap();
        let bare = path.extension().is_some_and(|ending| ending == "ics");
        for (found, text) in digests(&bytes, bare) {
            events.push((fields[6].to_owned(), name(&path), found, text));
        }
    }
    let (mut pairs, mut same, mut false_merges) = (0_u64, 0_u64, Vec::new());
    for (at, (family, file, found, text)) in events.iter().enumerate() {
        for (other_family, other_file, other, other_text) in &events[at + 1..] {
            if family == other_family {
                continue;
            }
            pairs += 1;
            if !found.agree(other) {
                continue;
            }
            if is_same(text, other_text) {
                same += 1;
            } else {
                let by = (
                    found.phones.is_some() && found.phones == other.phones,
                    found.links.is_some() && found.links == other.links,
                );
                false_merges.push(format!("{file} and {other_file} (numbers, links: {by:?}):\n{text}\n-- and --\n{other_text}\n"));
            }
        }
    }
    let with = |has: fn(&Digests) -> bool| events.iter().filter(|event| has(&event.2)).count();
    println!(
        "{} events ({} with a digest of the text, {} of numbers, {} of links), {pairs} pairs of different \
         families: {same} the same event, {} merged falsely",
        events.len(),
        with(|found| found.text.is_some()),
        with(|found| found.phones.is_some()),
        with(|found| found.links.is_some()),
        false_merges.len(),
    );
    assert_none(&false_merges);
}

/// The generator of the variants: the same on every machine.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.throw(of.len() as u64)).unwrap()]
    }
}

/// A text of a campaign: sentences between bars, words between spaces, synonyms between
/// slashes; NAME, FROM, NUMBER and AMOUNT change every time.
struct Lure {
    language: &'static str,
    title: &'static str,
    text: &'static str,
    /// Put in place of words that have no synonym.
    others: &'static str,
    /// No spaces between words.
    dense: bool,
}

const LURES: [Lure; 10] = [
    Lure {
        language: "en callback",
        title: "Your yearly protection plan was/is renewed/extended AMOUNT",
        text: "Dear/Hello NAME , thank you for staying with our security service | your yearly protection \
               plan has been renewed/extended automatically and AMOUNT will be charged/debited to your account within \
               hours | order number NUMBER covers three devices and remote assistance/support | if you did not \
               authorise/approve this transaction/payment please contact/call our billing department \
               immediately/promptly to receive/obtain a complete refund | cancellation is possible before the \
               amount appears on your bank statement | FROM billing team",
        others: "monthly customer reference online weekend product system purchase regular additional package notice",
        dense: false,
    },
    Lure {
        language: "en parcel",
        title: "Delivery attempt failed/missed for parcel/package NUMBER",
        text: "NAME , our courier tried/attempted to deliver your parcel/package this morning but nobody was at the \
               address | the shipment NUMBER is now waiting/stored in our local warehouse/depot | to schedule/arrange another \
               delivery a small handling fee of AMOUNT must be paid | confirm your address and choose/select a time \
               using the secure page/form | after five working days unclaimed shipments are returned/sent back \
               to the sender | kind regards FROM customer service",
        others: "evening driver branch label weather storage counter neighbour signature transport hotline window",
        dense: false,
    },
    Lure {
        language: "de crypto",
        title: "Auszahlung/Gutschrift von AMOUNT wartet auf Bestätigung/Freigabe",
        text: "Guten Tag NAME , auf Ihrem Handelskonto liegt ein Guthaben/Betrag von AMOUNT zur Auszahlung bereit | die \
               Plattform wird zum Monatsende geschlossen/abgeschaltet und alle offenen Konten werden gelöscht/entfernt | bitte \
               bestätigen Sie Ihre Wallet/Geldbörse noch heute über den sicheren Zugang/Link damit die Überweisung rechtzeitig \
               erfolgt | Vorgang NUMBER verfällt/erlischt ohne Ihre Rückmeldung/Antwort nach zwei Tagen | mit freundlichen Grüßen FROM \
               Abteilung Auszahlungen",
        others: "Kunden Sommer Anleitung Berater Formular Nachweis Sicherheit Abend Zeitraum Unterlagen Prüfung Filiale",
        dense: false,
    },
    Lure {
        language: "fr compte",
        title: "Votre boîte/messagerie sera suspendue/désactivée NUMBER",
        text: "Bonjour NAME , votre messagerie a dépassé/excédé la limite de stockage/capacité autorisée par votre \
               administrateur | sans action/intervention de votre part les nouveaux messages seront refusés/bloqués et votre \
               compte sera suspendu dans NUMBER heures | veuillez vérifier/confirmer votre identité et votre mot de \
               passe sur le portail sécurisé/officiel | cette opération est gratuite et ne prend que quelques \
               minutes/instants | merci de votre compréhension FROM service informatique",
        others: "semaine dossier collègue serveur matin réglage bureau client version planning soutien voyage",
        dense: false,
    },
    Lure {
        language: "es premio",
        title: "Felicidades/Enhorabuena NAME : premio/regalo reservado AMOUNT",
        text: "Estimado NAME , su dirección/correo fue seleccionado entre miles de clientes de nuestra tienda | hemos \
               reservado/guardado a su nombre un premio de AMOUNT que debe reclamar/solicitar antes del viernes | \
               complete la breve encuesta/formulario y pague únicamente/solo los gastos de envío | el número de su \
               boleto es NUMBER y no puede transferirse/cederse a otra persona | los premios no reclamados \
               vuelven al sorteo/concurso siguiente | atentamente FROM departamento de promociones",
        others: "verano ciudad amigo cuaderno mercado temporada socio descuento mañana jardín servicio noticia",
        dense: false,
    },
    Lure {
        language: "it fattura",
        title: "Sollecito/Avviso di pagamento fattura/ricevuta NUMBER",
        text: "Gentile NAME , dai nostri controlli/registri risulta ancora scoperta la fattura NUMBER di AMOUNT emessa il \
               mese scorso/passato | per evitare la sospensione/interruzione del servizio e ulteriori spese legali la invitiamo a \
               saldare/pagare entro domani | troverà il documento e le coordinate/indicazioni bancarie aggiornate \
               nella pagina collegata/allegata | se ha già provveduto/pagato ignori questo messaggio | distinti \
               saluti FROM ufficio amministrazione",
        others: "cliente stagione progetto cortile viaggio prodotto mattina collega famiglia sistema giornata prezzo",
        dense: false,
    },
    Lure {
        language: "pt banco",
        title: "Aviso/Alerta de segurança: acesso/entrada NUMBER",
        text: "Caro NAME , detectamos/identificamos uma tentativa de acesso incomum à sua conta/carteira a partir de outro \
               aparelho/dispositivo | por segurança/proteção uma transferência de AMOUNT foi retida até a sua \
               confirmação | entre/acesse agora na página de verificação/validação e atualize os seus dados \
               pessoais | caso não responda/confirme nas próximas horas a conta será bloqueada definitivamente/permanentemente \
               | protocolo NUMBER | FROM central de atendimento",
        others: "cidade janela reunião cliente produto caminho manhã escola vizinho viagem notícia trabalho",
        dense: false,
    },
    Lure {
        language: "ru выплата",
        title: "Компенсация/Выплата AMOUNT ожидает/ждёт получения",
        text: "Здравствуйте/Уважаемый NAME , по вашему обращению/заявлению одобрена денежная компенсация в размере AMOUNT | для \
               получения средств необходимо/нужно подтвердить личные данные и указать карту на странице \
               сервиса/портала | срок действия заявки NUMBER истекает/заканчивается сегодня вечером после чего \
               деньги/средства вернутся в резервный фонд | комиссия за перевод/перечисление составляет небольшую сумму и \
               возвращается полностью | с уважением FROM отдел выплат",
        others: "погода квартира магазин утренний проект соседний учебник дорога встреча вопрос документы помощь",
        dense: false,
    },
    Lure {
        language: "tr ödül",
        title: "Tebrikler/Kutlarız hediye/ödül çeki AMOUNT",
        text: "Sayın NAME , alışveriş/müşteri kampanyamızın şanslı kazananları arasında/içinde yer aldınız | AMOUNT değerindeki \
               hediye/ödül çekiniz hesabınıza tanımlanmak/yüklenmek üzere hazırdır | çeki kullanmak için kimlik bilgilerinizi \
               güvenli/resmi sayfada doğrulamanız/onaylamanız gerekiyor | referans numaranız NUMBER yalnızca bugün geçerlidir ve \
               başkasına devredilemez/aktarılamaz | sorularınız için müşteri hizmetleri her zaman yanınızdadır | \
               saygılarımızla FROM ekibi",
        others: "okul bahçe toplantı komşu sabah kitap yolculuk haber pencere mevsim çalışma arkadaş",
        dense: false,
    },
    Lure {
        language: "ja 口座",
        title: "【重要】 お客様の 口座が/アカウントが 一時的に 制限/停止 されました",
        text: "NAME 様、 平素より 当サービスを ご利用/お使い いただき 誠に ありがとうございます。| \
               第三者による 不審な/不正な 取引が 確認/検出 されたため 口座の 利用を 一時的に 制限/停止 しております。| \
               制限を 解除するには 下記の 専用/公式 ページで 本人確認の 手続きを/操作を 完了して ください。| \
               期限までに 確認が できない/取れない 場合は AMOUNT の 手数料が 発生し 口座は 永久に 凍結/閉鎖 されます。| \
               振込先の 銀行名と 支店名を お確かめの/ご確認の 上、 期限内に お支払いを/ご入金を お願い 致します。| \
               ご不明な/不明な 点は 担当 部署の 電話窓口へ お問い合わせ/ご連絡 ください。| \
               受付番号 NUMBER FROM お客様サポート窓口",
        others: "天気の 旅行に 会議で 学校へ 商品を 電車は 本棚が 友達と 週末に 料理も 建物の 音楽を",
        dense: true,
    },
];

const NAMES: [&str; 10] = [
    "Ann Sample",
    "Bob Muster",
    "Carla Esempio",
    "Dmitri Primerov",
    "Eva Beispiel",
    "Fatma Ornek",
    "Gil Exemple",
    "Hana Rei",
    "Ivo Przyklad",
    "Juana Ejemplo",
];

/// One message of the campaign.
fn variant(lure: &Lure, dice: &mut Dice, changed: u64) -> String {
    let (name, from) = (dice.pick(&NAMES), dice.pick(&NAMES));
    let number = 10_000 + dice.throw(900_000);
    let amount = format!(
        "{}.{:02} {}",
        100 + dice.throw(900),
        dice.throw(100),
        dice.pick(&["USD", "EUR", "€"])
    );
    let others: Vec<&str> = lure.others.split(' ').collect();
    let gap = if lure.dense { "" } else { " " };
    let write = |text: &str, dice: &mut Dice| {
        let words = text.split_whitespace().map(|word| match word {
            "NAME" | "NAME:" => name.to_owned(),
            "FROM" => from.to_owned(),
            "NUMBER" => number.to_string(),
            "AMOUNT" => amount.clone(),
            _ => {
                let same: Vec<&str> = word.split('/').collect();
                match dice.throw(100) < changed {
                    true if same.len() > 1 => dice.pick(&same[1..]).to_owned(),
                    true => dice.pick(&others).to_owned(),
                    false => same[0].to_owned(),
                }
            }
        });
        words.collect::<Vec<_>>().join(gap)
    };
    let title = write(lure.title, dice);
    let mut sentences: Vec<String> =
        lure.text.split('|').map(|sentence| write(sentence, dice)).collect();
    if changed > 0 {
        for at in (1..sentences.len()).rev() {
            sentences.swap(at, usize::try_from(dice.throw(at as u64 + 1)).unwrap());
        }
    }
    let mut text = sentences.join(dice.pick(&[". ", ".\\n", ".\\n\\n"]));
    if changed > 0 && dice.throw(4) == 0 {
        // Something invisible in one letter of ten.
        text = text
            .chars()
            .flat_map(|c| {
                [Some(c), (dice.throw(10) == 0 && c.is_alphabetic()).then_some('\u{200b}')]
            })
            .flatten()
            .collect();
    }
    let address = |name: &str, host: u64| {
        format!("{}@h{host}.example", name.to_lowercase().replace(' ', "."))
    };
    let (organizer, attendee) = (address(from, dice.throw(50)), address(name, 99));
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:{number}\r\n\
         DTSTART:20261201T100000Z\r\nSUMMARY:{title}\r\nDESCRIPTION:{text}\r\n\
         ORGANIZER;CN={from}:mailto:{organizer}\r\nATTENDEE;CN={name}:mailto:{attendee}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// What a digest costs beside the whole scan: printed, because time is no fact of the code.
#[test]
fn a_digest_costs_little() {
    let mut dice = Dice(1);
    let messages: Vec<String> =
        LURES.iter().map(|lure| variant(lure, &mut dice, CHANGED)).collect();
    let request = calspamd::scan::Request { bare: true, now: 1_795_168_800, ..Default::default() };
    let (mut scans, mut alone) = (Duration::MAX, Duration::MAX);
    let envelope = Envelope::default();
    for _ in 0..5 {
        let start = Instant::now();
        for text in &messages {
            scan(text.as_bytes(), &request, stock());
        }
        scans = scans.min(start.elapsed());
        let mut spent = Duration::ZERO;
        for text in &messages {
            let message =
                message::parse(text.as_bytes(), true, &envelope, &message::Settings::default());
            let reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
            let facts = facts::gather(&message, &reading, &envelope, request.now, LINKS);
            let start = Instant::now();
            let found: Vec<Digests> =
                facts.events.iter().map(|event| digest(event, &facts)).collect();
            spent += start.elapsed();
            assert_eq!(found.len(), 1);
        }
        alone = alone.min(spent);
    }
    let part = alone.as_secs_f64() / scans.as_secs_f64();
    println!(
        "{} messages: scans {scans:?}, digests {alone:?}, {:.1} %",
        messages.len(),
        part * 100.0
    );
}

#[test]
fn variants_of_one_text_are_one_campaign() {
    let mut dice = Dice(0x5eed);
    let mut failures = Vec::new();
    let mut originals: Vec<Digests> = Vec::new();
    for lure in &LURES {
        let original = variant(lure, &mut dice, 0);
        let (found, _) = digests(original.as_bytes(), true).remove(0);
        assert!(found.text.is_some(), "{}: {original}", lure.language);
        let merged = (0..VARIANTS)
            .filter(|_| {
                let changed = variant(lure, &mut dice, CHANGED);
                let (other, _) = digests(changed.as_bytes(), true).remove(0);
                assert!(originals.iter().all(|another| !another.agree(&other)), "{changed}");
                found.agree(&other)
            })
            .count();
        println!("{}: {merged} of {VARIANTS} variants merge with the original", lure.language);
        if merged * 100 < VARIANTS * 95 {
            failures.push(format!("{}: {merged} of {VARIANTS}", lure.language));
        }
        originals.push(found);
    }
    assert_none(&failures);
}
