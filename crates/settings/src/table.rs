//! The rows. One block per knob: its text, its field in the typed view, its name, and what differs from a blank row.
//!
//! - [`topic`]: per topic; the broker's defaults behind them (`log.retention.ms` and its kind) follow from these rows.
//! - [`broker`]: per broker.
//! - [`accepted`]: what Kafka's tools set and read and nothing here depends on.

pub mod accepted;
pub mod broker;
pub mod topic;

pub use broker::BrokerConfig;
pub use topic::TopicConfig;

/// Makes of each block a row of `$rows` and a field of `$view`.
macro_rules! settings {
    (
        $(#[$meta:meta])* $view:ident, $rows:ident, $scope:expr;
        $($doc:literal $field:ident: $type:ty = $name:literal { $($key:ident: $value:expr),* $(,)? })*
    ) => {
        /// The rows behind the typed view.
        pub const $rows: &[$crate::Setting] = &[$($crate::Setting {
            name: $name,
            kind: <$type as $crate::value::Typed>::KIND,
            doc: $doc,
            $($key: $value,)*
            ..$crate::Setting::blank($scope)
        }),*];

        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $view {
            $(#[doc = $doc] #[doc = concat!("(`", $name, "`)")] pub $field: $type,)*
        }

        impl $view {
            /// From the checked text that `value` gives for each name.
            pub(crate) fn from_texts(mut value: impl FnMut(&'static str) -> Option<String>) -> Self {
                $view { $($field: $crate::value::Typed::read($name, value($name)),)* }
            }
        }
    };
}
pub(crate) use settings;
