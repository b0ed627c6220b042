//! The macros that make stored types: `record!` for structs in values, `number!` for numbered things, `labels!` for enums.

/// Declares a struct that is stored as a value: a version byte, then its fields in order.
///
/// Every record is at version 1 so far. A changed form takes a new version byte, and its `decode` goes on reading the
/// old one: rows are rewritten when they change, never in one great migration.
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$fmeta:meta])* $fvis:vis $field:ident: $ty:ty,)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$fmeta])* $fvis $field: $ty,)*
        }

        impl $crate::Field for $name {
            fn put(&self, out: &mut $crate::Encoder) {
                $($crate::Field::put(&self.$field, out);)*
            }

            fn get(input: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::Corrupt> {
                Ok(Self { $($field: $crate::Field::get(input)?,)* })
            }
        }

        impl $crate::Value for $name {
            fn encode(&self, out: &mut $crate::Encoder) {
                out.push(&[1]);
                $crate::Field::put(self, out);
            }

            fn decode(bytes: &[u8]) -> ::std::result::Result<Self, $crate::Corrupt> {
                let mut input = $crate::Reader::new(bytes);
                match input.array()? {
                    [1] => {}
                    _ => return Err($crate::Corrupt("its version is unknown")),
                }
                let value = <Self as $crate::Field>::get(&mut input)?;
                input.finish()?;
                Ok(value)
            }
        }
    };
}

/// Declares a newtype over a number that names something inside: usable in keys and in values.
#[macro_export]
macro_rules! number {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($ty:ty);) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name(pub $ty);

        impl $crate::Key for $name {
            fn encode(&self, out: &mut $crate::Encoder) {
                $crate::Key::encode(&self.0, out);
            }

            fn decode(input: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::Corrupt> {
                Ok(Self($crate::Key::decode(input)?))
            }
        }

        impl $crate::Field for $name {
            fn put(&self, out: &mut $crate::Encoder) {
                $crate::Field::put(&self.0, out);
            }

            fn get(input: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::Corrupt> {
                Ok(Self($crate::Field::get(input)?))
            }
        }

        impl $crate::Value for $name {
            fn encode(&self, out: &mut $crate::Encoder) {
                $crate::Key::encode(&self.0, out);
            }

            fn decode(bytes: &[u8]) -> ::std::result::Result<Self, $crate::Corrupt> {
                <$ty as $crate::Value>::decode(bytes).map(Self)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// Declares an enum without data that is stored as one byte, in keys and in values.
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$vmeta:meta])* $variant:ident = $number:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$vmeta])* $variant = $number,)*
        }

        impl $crate::Key for $name {
            fn encode(&self, out: &mut $crate::Encoder) {
                out.push(&[*self as u8]);
            }

            fn decode(input: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::Corrupt> {
                match input.array()? {
                    $([$number] => Ok(Self::$variant),)*
                    _ => Err($crate::Corrupt("a label is unknown")),
                }
            }
        }

        impl $crate::Field for $name {
            fn put(&self, out: &mut $crate::Encoder) {
                $crate::Key::encode(self, out);
            }

            fn get(input: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::Corrupt> {
                $crate::Key::decode(input)
            }
        }
    };
}
