//! The crate's side of `kernels/abi.rs`: the constants, the structs that the kernels are given, and
//! which kernel is given which. Pointers are addresses on the device.
use candle_core::DType;
use std::ffi::c_void;

/// The parameter of a kernel.
pub(crate) trait Arguments: Copy {
    /// The kernel that takes it.
    const KERNEL: Kernel;
}

macro_rules! table {
    (
        constants { $($(#[doc = $constant_doc:literal])* $constant:ident = $value:expr;)* }
        structs { $($(#[$struct_attr:meta])* struct $struct:ident {
            $($(#[$field_attr:meta])* $field:ident: $type:ty,)*
        })* }
        dtypes { $($dtype:ident: $candle:ident = $cuda:literal;)* }
        kernels { $($file:ident { $($kernel:ident($args:ident)),* $(,)? })* }
    ) => {
        $(
            $(#[doc = $constant_doc])*
            #[allow(dead_code, reason = "some are for the kernels alone")]
            pub(crate) const $constant: u32 = $value;
        )*

        $(
            $(#[$struct_attr])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $struct {
                $($(#[$field_attr])* pub(crate) $field: $type,)*
            }
        )*

        /// The dtypes of logits for which there are kernels, and how their names end.
        pub(crate) const DTYPES: [(DType, &str); [$($cuda),*].len()] =
            [$((DType::$candle, stringify!($dtype))),*];

        /// A kernel, whatever the dtype; named by its parameter.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[expect(clippy::enum_variant_names, reason = "they are the names of the parameters")]
        pub(crate) enum Kernel {
            $($($args,)*)*
        }

        impl Kernel {
            /// How many there are.
            pub(crate) const COUNT: usize = [$($(stringify!($kernel)),*),*].len();
        }

        /// The kernels of each file, and their names without the dtype.
        pub(crate) const FILES: [&[(&str, Kernel)]; [$(stringify!($file)),*].len()] =
            [$(&[$((stringify!($kernel), Kernel::$args)),*]),*];

        $($(
            impl Arguments for $args {
                const KERNEL: Kernel = Kernel::$args;
            }
        )*)*
    };
}

include!("../../kernels/abi.rs");

// The layout that nvcc has checked.
const _: () = include!(concat!(env!("OUT_DIR"), "/abi_layout.rs"));

// What nvcc has made of those files.
include!(concat!(env!("OUT_DIR"), "/code.rs"));
