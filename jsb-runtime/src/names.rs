//! Closed sets and their names: as they are stored, and as somebody types them.

/// A text that is no name of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {set}: write one of {names}")]
pub struct UnknownName {
    text: String,
    set: &'static str,
    names: String,
}

impl UnknownName {
    /// What is said of a text that is none of these names; `set` says what they are.
    pub(crate) fn new(text: &str, set: &'static str, names: &[&str]) -> Self {
        Self { text: text.to_owned(), set, names: names.join(", ") }
    }
}

/// Declares an enum whose members have names, by which they are shown, read and bound in SQL. The first text says what they
/// are to somebody who types another.
macro_rules! closed_set {
    (
        $set:literal:
        $(#[$about:meta])*
        $vis:vis enum $of:ident {
            $($(#[$means:meta])* $member:ident = $name:literal,)+
        }
    ) => {
        $(#[$about])*
        $vis enum $of {
            $($(#[$means])* $member,)+
        }

        impl $of {
            pub(crate) const ALL: [Self; [$($name),+].len()] = [$(Self::$member),+];

            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $name,)+
                }
            }
        }

        impl ::std::fmt::Display for $of {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $of {
            type Err = $crate::names::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let named = Self::ALL.into_iter().find(|one| one.as_str() == text);
                named.ok_or_else(|| $crate::names::UnknownName::new(text, $set, &Self::ALL.map(Self::as_str)))
            }
        }

        impl From<$of> for ::sea_orm::Value {
            fn from(one: $of) -> Self {
                one.as_str().into()
            }
        }
    };
}
pub(crate) use closed_set;

#[cfg(test)]
mod tests {
    use sea_orm::Value;

    super::closed_set! {
        "colour":
        /// Two of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Colour {
            Red = "red",
            LightGreen = "light_green",
        }
    }

    #[test]
    fn a_member_is_shown_and_bound_by_its_name_and_read_from_it() {
        for (one, name) in [(Colour::Red, "red"), (Colour::LightGreen, "light_green")] {
            assert_eq!(one.to_string(), name);
            assert_eq!(Value::from(one), Value::from(name));
            assert_eq!(name.parse::<Colour>(), Ok(one));
        }
    }

    #[test]
    fn whoever_types_another_text_is_told_all_names() {
        let unknown = "Red".parse::<Colour>().expect_err("another text");
        assert_eq!(unknown.to_string(), "`Red` is no colour: write one of red, light_green");
    }
}
