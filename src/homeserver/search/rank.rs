//! How well an event matches: words that are said often in a short text, and together in the order of the search.

use std::collections::HashMap;

use matron_matrix::text::words;

use super::query::Sought;

/// How soon a word that is said again adds nothing more, and how much long texts are marked down (BM25's constants).
const SATURATION: f64 = 1.2;
const BY_LENGTH: f64 = 0.75;
/// How many words a usual text has.
const USUAL_LENGTH: f64 = 12.0;
/// What the whole search in its own words and order adds.
const PHRASE: f64 = 1.0;

impl Sought {
    /// The rank of a text: the higher the closer.
    pub fn rank(&self, text: &str) -> f64 {
        let said = words(text);
        let mut often: HashMap<&str, f64> = HashMap::new();
        for word in &said {
            *often.entry(word).or_default() += 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "an event has no 2^52 words")]
        let length = said.len() as f64;
        let damping = SATURATION * (1.0 - BY_LENGTH + BY_LENGTH * length / USUAL_LENGTH);
        let mut rank = 0.0;
        for word in &self.words {
            let often = often.get(word.as_str()).copied().unwrap_or_default();
            rank += often * (SATURATION + 1.0) / (often + damping);
        }
        let is_said = self.phrase.len() > 1 && said.windows(self.phrase.len()).any(|window| window == self.phrase);
        if is_said { rank + PHRASE } else { rank }
    }
}

/// The words of a text, as they are written there, that a search found.
pub(super) fn highlights(text: &str, sought: &[String], into: &mut std::collections::BTreeSet<String>) {
    for piece in text.split(|char: char| !char.is_alphanumeric() && !is_mark(char)) {
        let folded = words(piece);
        if !folded.is_empty() && folded.iter().all(|word| sought.contains(word)) {
            into.insert(piece.to_owned());
        }
    }
}

/// Marks that belong to the letter before them, where a text is written in decomposed form.
const fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::query::Sought;
    use super::highlights;

    #[test]
    fn closer_texts_rank_higher() {
        let sought = Sought::of("bed three").unwrap();
        let order = [
            "bed three",
            "Is bed three free?",
            "three patients, one bed",
            "three patients wait since this morning, and the ward on the second floor has but one bed for all of them",
        ];
        let ranks: Vec<_> = order.iter().map(|text| sought.rank(text)).collect();
        assert!(ranks.is_sorted_by(|one, other| one > other), "{ranks:?}");
        let sought = Sought::of("bed").unwrap();
        assert!(sought.rank("bed bed chair") > sought.rank("bed sofa chair"));
    }

    #[test]
    fn a_word_counts_once_however_often_it_is_sought() {
        let rank = |term| Sought::of(term).unwrap().rank("a bed and a chair");
        assert!((rank("chair bed chair bed bed") - rank("chair bed")).abs() < f64::EPSILON);
        assert!(rank("a bed and a chair") > rank("chair and a bed a"), "as it is said");
    }

    #[test]
    fn highlights_are_as_written() {
        let mut found = BTreeSet::new();
        highlights("Das BÉD, cafe\u{301}-bed", &["bed".to_owned(), "cafe".to_owned()], &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["BÉD", "bed", "cafe\u{301}"]);
    }
}
