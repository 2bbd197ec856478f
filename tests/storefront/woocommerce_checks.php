<?php
/** Runs one scenario against the snippet and prints what came of it as JSON: php checks.php SNIPPET SCENARIO [DATA] */

require __DIR__ . '/woocommerce_stub.php';

$snippet  = $argv[1];
$scenario = $argv[2];
$data     = json_decode( $argv[3] ?? 'null', true );

function give( $data ) {
	call_user_func( Stub::$updates['tillwire_sprii'], $data );
}

function number() {
	return call_user_func( Stub::$data['cart']['tillwire_sprii']['data_callback'] )['number'];
}

function classic_order() {
	$order = new Stub_Order();
	do_action( 'woocommerce_checkout_create_order', $order, array() );
	$order->save();
	do_action( 'woocommerce_checkout_order_processed', 1, array(), $order );
	return array( $order->meta, $order->saved );
}

function blocks_order( $drafts = 1 ) {
	$order = new Stub_Order();
	for ( $n = 0; $n < $drafts; $n++ ) {
		do_action( 'woocommerce_store_api_checkout_update_order_meta', $order );
	}
	do_action( 'woocommerce_store_api_checkout_order_processed', $order );
	return array( $order->meta, $order->saved );
}

function start( $session, $snippet ) {
	stub_woocommerce( $session );
	require $snippet;
	do_action( 'woocommerce_blocks_loaded' );
	return $session;
}

$scenarios = array(
	'classic'      => function ( $snippet, $data ) {
		start( new Cookie_Session(), $snippet );
		give( $data );
		return array( classic_order(), classic_order() );
	},
	'blocks'       => function ( $snippet, $data ) {
		start( new Cookie_Session(), $snippet );
		give( $data );
		return array( blocks_order( 3 ), blocks_order( 1 ) );
	},
	'token'        => function ( $snippet, $data ) {
		start( new Token_Session(), $snippet );
		give( $data );
		return array( number(), blocks_order() );
	},
	'guest'        => function ( $snippet, $data ) {
		$session = start( new Cookie_Session(), $snippet );
		give( $data );
		give( $data );
		return array( $session->exists, $session->cookies, number() );
	},
	'known'        => function ( $snippet, $data ) {
		$session         = start( new Cookie_Session(), $snippet );
		$session->exists = true;
		give( $data );
		return array( $session->cookies, number() );
	},
	'given'        => function ( $snippet, $data ) {
		$session = start( new Cookie_Session(), $snippet );
		give( $data );
		return array( number(), $session->cookies, classic_order()[0] );
	},
	'control'      => function ( $snippet ) {
		start( new Cookie_Session(), $snippet );
		$found = array();
		foreach ( array( "5934\x0014", "5934\n14", "5934\x7f", "\xc2\x85x", "\xff14", str_repeat( 'x', 256 ) ) as $bad ) {
			give( array( 'sprii_order_no' => $bad ) );
			$found[] = number();
		}
		return $found;
	},
	'newer'        => function ( $snippet ) {
		start( new Cookie_Session(), $snippet );
		give( array( 'sprii_order_no' => '5934-14' ) );
		$first = Tillwire_Sprii::kept()['cart'];
		give( array( 'sprii_order_no' => '5934-15' ) );
		give( array( 'sprii_order_no' => '' ) );
		return array( number(), Tillwire_Sprii::kept()['cart'] !== $first );
	},
	'theme'        => function ( $snippet, $data ) {
		stub_woocommerce( new Cookie_Session() );
		do_action( 'woocommerce_blocks_loaded' ); // long before a theme is read
		require $snippet;
		give( $data );
		return number();
	},
	'twice'        => function ( $snippet ) {
		start( new Cookie_Session(), $snippet );
		require $snippet;
		$counts = array();
		foreach ( Stub::$hooks as $hook => $registered ) {
			$counts[ $hook ] = count( array_merge( ...array_values( $registered ) ) );
		}
		return $counts;
	},
	'no session'   => function ( $snippet, $data ) {
		start( null, $snippet );
		give( $data );
		return array( number(), classic_order()[0], blocks_order() );
	},
	'no shop'      => function ( $snippet ) {
		require $snippet;
		do_action( 'woocommerce_blocks_loaded' );
		ob_start();
		do_action( 'wp_head' );
		return ob_get_clean();
	},
	'schema'       => function ( $snippet ) {
		start( new Cookie_Session(), $snippet );
		$given = Stub::$data['cart']['tillwire_sprii'];
		$kept  = call_user_func( $given['data_callback'] );
		return array( $given['schema_type'], array_keys( call_user_func( $given['schema_callback'] ) ), $kept );
	},
	'head'         => function ( $snippet ) {
		start( new Cookie_Session(), $snippet );
		add_action( 'wp_head', function () { echo 'others'; }, 1 );
		ob_start();
		do_action( 'wp_head' );
		return ob_get_clean();
	},
);
echo json_encode( $scenarios[ $scenario ]( $snippet, $data ) );
